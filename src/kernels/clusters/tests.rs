use ndarray::{Array2, array};

use super::*;

fn refusal(points: &Array2<f64>, offsets: &[usize]) -> String {
    let refused = Clusters::new("left", points.view(), offsets);
    refused.unwrap_err().to_string()
}

#[test]
fn wrong_clusters_are_refused_by_set_cluster_and_row() {
    let points = array![[0.0, 1.0], [2.0, 3.0], [4.0, f64::NAN]];
    assert_eq!(
        refusal(&points, &[0, 1, 3]),
        "left: cluster 1, row 2, column 1: found NaN, expected a finite number"
    );
    assert_eq!(
        refusal(&points, &[0, 1, 1, 3]),
        "left: cluster 1 is empty, expected at least one point"
    );
    assert_eq!(
        refusal(&points, &[0, 2]),
        "left: offset 1: found 2, expected 3, the number of points"
    );
    assert_eq!(
        refusal(&points, &[1, 3]),
        "left: offset 0: found 1, expected 0"
    );
    assert_eq!(
        refusal(&points, &[0, 4]),
        "left: offset 1: found 4, expected 0 to 3"
    );
    assert_eq!(
        refusal(&points, &[0, 2, 1, 3]),
        "left: offset 2: found 1, expected 2 to 3"
    );
    for offsets in [&[][..], &[0]] {
        assert_eq!(
            refusal(&points, offsets),
            "left: no clusters, expected at least one"
        );
    }
    assert_eq!(
        refusal(&Array2::zeros((3, 0)), &[0, 3]),
        "left: found 0 columns, expected 1"
    );
}

#[test]
fn clusters_are_views_of_the_points() {
    let points = array![[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]];
    // A view that is not contiguous is copied in its order.
    let clusters = Clusters::new("c", points.slice(ndarray::s![.., ..;-1]), &[0, 1, 3]).unwrap();
    assert_eq!(
        (clusters.len(), clusters.dim(), clusters.is_empty()),
        (2, 2, false)
    );
    assert_eq!(clusters.cluster(0), array![[1.0, 0.0]]);
    assert_eq!(clusters.cluster(1), array![[3.0, 2.0], [5.0, 4.0]]);
    let sizes: Vec<usize> = clusters.iter().map(|cluster| cluster.nrows()).collect();
    assert_eq!(sizes, [1, 2]);
    assert_eq!(clusters.rows(0), [1.0, 0.0]);
}

#[test]
fn generated_sets_have_the_sizes_of_the_notebook() {
    let total = |n, max_size, m, other| {
        let right = generate(m, other, 2).unwrap();
        generate(n, max_size, 1).unwrap().num_points() + right.num_points()
    };
    assert_eq!(total(50, 35, 30, 23), 1_090);
    assert_eq!(total(400, 200, 200, 450), 83_219);
    let scaling = [10, 20, 40, 80, 160].map(|c| total(c + 5, 80, c - 5, 50));
    assert_eq!(scaling, [689, 1_219, 2_558, 5_107, 10_565]);
    // One size only: nothing is drawn for it.
    assert_eq!(generate(7, 2, 3).unwrap().num_points(), 7);
}

#[test]
fn the_generator_refuses_what_makes_no_clusters() {
    let refusal = |n, max_size| generate(n, max_size, 1).unwrap_err().to_string();
    assert_eq!(refusal(0, 5), "n: found 0, expected at least 1 cluster");
    assert_eq!(
        refusal(5, 1),
        "max_size: found 1, expected at least 2: sizes are below it"
    );
}

#[cfg(feature = "csv")]
mod csv {
    use super::super::*;

    fn read(text: impl AsRef<[u8]>) -> Result<Clusters, PointsError> {
        Clusters::from_csv_reader(text.as_ref(), "c.csv")
    }

    fn refusal(text: impl AsRef<[u8]>) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_reads_back_with_the_same_bits() {
        let clusters = generate(9, 6, 4).unwrap().with_name("c.csv");
        let mut file = Vec::new();
        clusters.write_csv(&mut file).unwrap();
        assert_eq!(read(file).unwrap(), clusters);
        let extremes = ndarray::array![[f64::MAX, f64::MIN_POSITIVE, -0.0], [5e-324, 1e20, 0.1]];
        let clusters = Clusters::new("c.csv", extremes.view(), &[0, 2]).unwrap();
        let mut file = Vec::new();
        clusters.write_csv(&mut file).unwrap();
        let bits = |c: &Clusters| c.points().mapv(f64::to_bits);
        assert_eq!(bits(&read(file).unwrap()), bits(&clusters));
        let flat = Clusters::new("c", ndarray::array![[1.0, 2.0]].view(), &[0, 1]).unwrap();
        assert!(flat.write_csv(Vec::new()).is_err());
    }

    #[test]
    fn files_may_be_written_in_several_ways() {
        let plain = read("cluster_id,x,y,z\n0,1,2,3\n1,4,5,6\n").unwrap();
        for text in [
            "\u{feff}cluster_id,x,y,z\r\n0,1,2,3\r\n1,4,5,6\r\n",
            "\n\ncluster_id, x, y, z\n\n0, 1.0, 2e0 ,\"3\"\n\n1,4,5,6\n\n",
        ] {
            assert_eq!(read(text).unwrap(), plain, "{text:?}");
        }
    }

    #[test]
    fn wrong_files_are_refused_by_line_and_column() {
        let head = "cluster_id,x,y,z\n";
        for (rest, message) in [
            (
                "0,1,2,x\n",
                "line 2, column \"z\": found \"x\", expected a finite number",
            ),
            (
                "0,1,2,3\n\n0,inf,2,3\n",
                "line 4, column \"x\": found \"inf\", expected a finite number",
            ),
            (
                "0,1,2,3\r\n0,1,NaN,3\r\n",
                "line 3, column \"y\": found \"NaN\", expected a finite number",
            ),
            (
                "0,1,2\n",
                "line 2: found 3 fields, expected 4 as in the header",
            ),
            (
                "1,1,2,3\n",
                "line 2, column \"cluster_id\": found \"1\", expected 0, the first cluster",
            ),
            (
                "0,1,2,3\n2,1,2,3\n",
                "line 3, column \"cluster_id\": found \"2\", expected cluster 0 or the next one, 1",
            ),
            (
                "0,1,2,3\n1,1,2,3\n0,1,2,3\n",
                "line 4, column \"cluster_id\": found \"0\", expected cluster 1 or the next one, 2",
            ),
            (
                "0,1,2,3\n-1,1,2,3\n",
                "line 3, column \"cluster_id\": found \"-1\", expected cluster 0 or the next one, 1",
            ),
            (
                "0,1,2,3",
                "line 2 has no line break at its end: the file may have been cut short, expected a line break after every line",
            ),
            (
                "0,1,2,3\0\n",
                "line 2 is not text, expected comma-separated values in UTF-8",
            ),
        ] {
            assert_eq!(
                refusal(format!("{head}{rest}")),
                format!("c.csv: {message}"),
                "{rest:?}"
            );
        }
        assert_eq!(refusal(""), "c.csv: no clusters, expected at least one");
        assert_eq!(refusal(head), "c.csv: no clusters, expected at least one");
        assert_eq!(
            refusal("id,x,y,z\n0,1,2,3\n"),
            "c.csv: line 1: found columns \"id,x,y,z\", expected \"cluster_id,x,y,z\""
        );
        assert_eq!(
            refusal(b"cluster_id,x,y,z\n0,1,2,\xff\n"),
            "c.csv: line 2 is not text, expected comma-separated values in UTF-8"
        );
    }

    #[test]
    fn lines_may_end_in_cr() {
        let plain = read("cluster_id,x,y,z\n0,1,2,3\n1,4,5,6\n").unwrap();
        let text = "cluster_id,x,y,z\r0,1,2,3\r\r1,4,5,6\r";
        assert_eq!(read(text).unwrap(), plain);
        assert_eq!(
            refusal(text.replace('6', "x")),
            "c.csv: line 4, column \"z\": found \"x\", expected a finite number"
        );
    }

    #[test]
    fn a_number_that_has_no_next_one_is_refused() {
        assert_eq!(
            refusal(format!("cluster_id,x,y,z\n{},1,2,3\n", usize::MAX)),
            format!(
                "c.csv: line 2, column \"cluster_id\": found \"{}\", expected 0, the first cluster",
                usize::MAX
            )
        );
    }

    #[test]
    fn a_message_is_short_whatever_a_file_has() {
        let options = crate::kernels::CsvOptions::new().max_row_bytes(usize::MAX);
        let refusal = |text: String| {
            let refused = Clusters::from_csv_reader_with(text.as_bytes(), "c.csv", &options);
            refused.unwrap_err().to_string()
        };
        let long = "\u{1f600}".repeat(1_000_000);
        let shown = "\u{1f600}".repeat(60);
        assert_eq!(
            refusal(format!("{long},x\n")),
            format!(
                "c.csv: line 1: found columns 4000002 bytes \"{shown}...\", \
                 expected \"cluster_id,x,y,z\""
            )
        );
        assert_eq!(
            refusal(format!("cluster_id,x,y,z\n0,1,2,{long}\n")),
            format!(
                "c.csv: line 2, column \"z\": found 4000000 bytes \"{shown}...\", \
                 expected a finite number"
            )
        );
        let refused = Clusters::new(long, ndarray::array![[0.0]].view(), &[0]);
        let message = refused.unwrap_err().to_string();
        assert!(
            message.starts_with("4000000 bytes ...\u{1f600}"),
            "{message}"
        );
        assert!(message.len() < 900, "{message}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Clusters::read_csv("no/such.csv").unwrap_err();
        assert_eq!(error.to_string(), "cannot read no/such.csv");
        assert!(std::error::Error::source(&error).is_some());
    }
}
