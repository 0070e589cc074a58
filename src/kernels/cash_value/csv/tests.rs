use std::fs;

use proptest::prelude::*;

use super::super::testing::{FIRST, HEADER, SECOND, data, read, refusal, shipped, with};
use super::super::{project, project_serial};
use super::*;

#[test]
fn a_file_reads_as_the_same_data_in_memory() {
    let from_file = Portfolio::read_csv(data("model_points_small.csv")).unwrap();
    let in_memory = Portfolio::new(Columns {
        point_id: vec![1, 2, 3, 4],
        spec_id: ["A", "B", "C", "D"].map(str::to_owned).to_vec(),
        age_at_entry: vec![20, 50, 20, 50],
        policy_term: vec![10, 20, 9999, 9999],
        policy_count: vec![100.0; 4],
        sum_assured: vec![500_000.0; 4],
        duration_mth: vec![0; 4],
        premium_pp: vec![500_000.0, 500_000.0, 1000.0, 1000.0],
        av_pp_init: vec![0.0; 4],
    });
    let expected = project(&in_memory.unwrap(), shipped()).unwrap();
    assert_eq!(project(&from_file, shipped()).unwrap(), expected);
}

#[test]
fn a_value_outside_its_domain_is_named_with_its_line() {
    assert_eq!(
        refusal(with("2,B,50,M,20,-1,500000,0,500000,0")),
        "points.csv: line 3, column \"policy_count\": found -1.0, expected a finite number of at least 0"
    );
    assert_eq!(
        refusal(with("\r\n\n2,B,-50,M,20,1,500000,0,500000,0")),
        "points.csv: line 5, column \"age_at_entry\": found -50, expected an age of at least 0"
    );
    assert_eq!(
        refusal(with("2,B,50,M,20,1,500000,-541,500000,0")),
        "points.csv: line 3, column \"duration_mth\": found -541, expected at least -540 months"
    );
}

#[test]
fn the_projection_names_the_line_of_a_point_that_the_tables_do_not_cover() {
    let project = |line| {
        let portfolio = with(line).unwrap();
        let message = project(&portfolio, shipped()).unwrap_err().to_string();
        assert_eq!(
            project_serial(&portfolio, shipped())
                .unwrap_err()
                .to_string(),
            message
        );
        message
    };
    assert_eq!(
        project("\n7,X,50,M,20,1,500000,0,500000,0"),
        "points.csv: line 4, column \"spec_id\": found \"X\", \
         expected a product of [\"A\", \"B\", \"C\", \"D\"]"
    );
    assert_eq!(
        project("7,A,50,M,9999,1,500000,0,500000,0"),
        "points.csv: line 3, column \"policy_term\": found 9999, which with duration_mth 0 makes 119989 months for point 7, \
         expected at most 1801, where the tables end (the last normal draw)"
    );
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("missing.csv")] {
        let error = Portfolio::read_csv(&path).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot read {}", path.display()));
        assert!(std::error::Error::source(&error).is_some());
    }
    let error = Assumptions::read_dir(folder.path())
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("cannot read ") && error.ends_with("product_spec_table.csv"));
}

/// The shipped tables with one text of one file replaced: what is wrong with them, without the folder.
fn table_refusal(name: &str, from: &str, to: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    for file in [
        "product_spec_table.csv",
        "mort_table.csv",
        "surr_charge_table.csv",
        "disc_rate_ann.csv",
        "std_norm_rand.csv",
    ] {
        let mut text = fs::read_to_string(data(file)).unwrap();
        if file == name {
            assert!(text.contains(from), "{file} has {from:?}");
            text = text.replacen(from, to, 1);
        }
        fs::write(folder.path().join(file), text).unwrap();
    }
    let message = Assumptions::read_dir(folder.path())
        .unwrap_err()
        .to_string();
    message.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn wrong_tables_are_refused() {
    let products = "product_spec_table.csv";
    let (mortality, charges) = ("mort_table.csv", "surr_charge_table.csv");
    let (spot, draws) = ("disc_rate_ann.csv", "std_norm_rand.csv");
    for (file, from, to, message) in [
        (
            products,
            "SINGLE",
            "YEARLY",
            "line 2, column \"premium_type\": found \"YEARLY\", expected \"SINGLE\" or \"LEVEL\"",
        ),
        (
            products,
            "False",
            "maybe",
            "line 2, column \"has_surr_charge\": found \"maybe\", expected \"True\" or \"False\"",
        ),
        (
            products,
            "\nB,",
            "\nA,",
            "line 3, column \"spec_id\": found \"A\", expected a product that is not yet in the table",
        ),
        (
            products,
            "type_1",
            "type_9",
            "line 3, column \"surr_charge_id\": found \"type_9\", expected a surrender charge of [\"type_1\", \"type_2\", \"type_3\"]",
        ),
        (
            products,
            "type_1",
            "",
            "line 3, column \"surr_charge_id\": found \"\", expected a surrender charge of [\"type_1\", \"type_2\", \"type_3\"]",
        ),
        (
            products,
            "0.1,",
            "inf,",
            "line 2, column \"load_prem_rate\": found \"inf\", expected a finite number",
        ),
        (
            products,
            "0.1,",
            "1.1,",
            "line 2, column \"load_prem_rate\": found 1.1, expected a number from 0 to 1",
        ),
        (
            products,
            "is_wl",
            "wl",
            "line 1: no column \"is_wl\", expected it in the header",
        ),
        (
            mortality,
            "\n20,",
            "\n21,",
            "line 4, column \"age\": found 21, expected 20, the age after the row before",
        ),
        (
            mortality,
            "\n19,",
            "\n18,",
            "line 3, column \"age\": found 18, expected 19, the age after the row before",
        ),
        (
            mortality,
            "\n18,",
            "\n-18,",
            "line 3, column \"age\": found 19, expected -17, the age after the row before",
        ),
        (
            mortality,
            "0.0002310671048780701",
            "2",
            "line 2, column \"0\": found 2.0, expected a number from 0 to 1",
        ),
        (
            mortality,
            "0.0002310671048780701",
            "-0.1",
            "line 2, column \"0\": found -0.1, expected a number from 0 to 1",
        ),
        (
            mortality,
            "0.0002310671048780701",
            "",
            "line 2, column \"0\": found \"\", expected a probability from 0 to 1",
        ),
        (
            mortality,
            ",3,",
            ",2,",
            "line 1: column \"2\" appears more than once",
        ),
        (
            mortality,
            ",3,",
            ",7,",
            "line 1: column \"7\" is unknown, expected \"age\", or a policy year \"0\", \"1\", ... without gaps",
        ),
        (
            mortality,
            "age,0",
            "age,year",
            "line 1: column \"year\" is unknown, expected \"age\", or a policy year \"0\", \"1\", ... without gaps",
        ),
        (
            charges,
            "\n3,",
            "\n4,",
            "line 5, column \"duration\": found 4, expected 3",
        ),
        (
            charges,
            "type_2",
            "type_1",
            "line 1: column \"type_1\" appears more than once",
        ),
        (
            charges,
            "0.08,0.05",
            "0.08,5",
            "line 2, column \"type_3\": found 5.0, expected a number from 0 to 1",
        ),
        (
            spot,
            "\n2,",
            "\n1,",
            "line 4, column \"year\": found 1, expected 2",
        ),
        (
            spot,
            "\n0,",
            "\n1,",
            "line 2, column \"year\": found 1, expected 0",
        ),
        (
            spot,
            "0.00555",
            "-1",
            "line 3, column \"zero_spot\": found -1.0, expected a finite number greater than -1",
        ),
        (
            draws,
            "1,5,",
            "1,6,",
            "line 7, column \"t\": found 6, expected 5, the next month of scenario 1",
        ),
        (
            draws,
            "1,5,",
            "1,4,",
            "line 7, column \"t\": found 4, expected 5, the next month of scenario 1",
        ),
        (
            draws,
            "1,5,",
            "-1,5,",
            "line 7, column \"scen_id\": found \"-1\", expected a whole number of at least 0",
        ),
        (
            draws,
            "1,0,-0.4",
            "1,0,x",
            "line 2, column \"std_norm_rand\": found \"x4330390652468\", expected a finite number",
        ),
    ] {
        assert_eq!(table_refusal(file, from, to), format!("{file}: {message}"));
    }
}

#[test]
fn scenarios_may_alternate_from_line_to_line() {
    let text = "t,scen_id,std_norm_rand\n0,2,0.5\n0,1,0.25\n1,2,-1\n1,1,7\n";
    let sheet = Sheet::read(text.as_bytes(), "draws.csv".into()).unwrap();
    let expected = [
        Scenario {
            id: 2,
            draws: vec![0.5, -1.0],
        },
        Scenario {
            id: 1,
            draws: vec![0.25, 7.0],
        },
    ];
    assert_eq!(read_draws(&sheet).unwrap(), expected);
}

/// Every reader on the same bytes.
fn read_as_everything(bytes: &[u8]) {
    if let Ok(portfolio) = read(bytes) {
        drop(project(&portfolio, shipped()));
    }
    if let Ok(sheet) = Sheet::read(bytes, "table.csv".into()) {
        drop(read_products(&sheet));
        drop(read_mortality(&sheet));
        drop(read_charges(&sheet));
        drop(read_spot_rates(&sheet));
        drop(read_draws(&sheet));
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_as_everything(&bytes);
        bytes.push(b'\n');
        read_as_everything(&bytes);
    }

    #[test]
    fn arbitrary_tables_never_panic(text in "[a0-9,\"\r\n .e-]{0,120}\n") {
        read_as_everything(text.as_bytes());
    }

    #[test]
    fn mutated_files_never_panic(
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), prop_oneof![any::<u8>(), prop::sample::select(&b"0123456789,.-\"\n\re "[..])]),
            1..6,
        ),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
        file in 0..4_usize,
    ) {
        let names = ["product_spec_table.csv", "surr_charge_table.csv", "disc_rate_ann.csv"];
        let mut bytes = match names.get(file) {
            Some(name) => fs::read(data(name)).unwrap(),
            None => format!("{HEADER}\n{FIRST}\n{SECOND}\n").into_bytes(),
        };
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        read_as_everything(&bytes);
    }
}
