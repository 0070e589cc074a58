use std::fs;

use proptest::prelude::*;

use super::super::testing::{data, shipped};
use super::super::{project, project_serial};
use super::*;

const HEADER: &str = "point_id,spec_id,age_at_entry,sex,policy_term,policy_count,sum_assured,\
                      duration_mth,premium_pp,av_pp_init";
const FIRST: &str = "1,A,20,M,10,100,500000,0,500000,0";
const SECOND: &str = "2,B,50,M,20,100,500000,-3,500000,0";

fn read(text: impl AsRef<[u8]>) -> Result<Portfolio, CashValueError> {
    Portfolio::from_csv_reader(text.as_ref(), "points.csv")
}

/// The portfolio of the header, the first line, and this one.
fn with(line: &str) -> Result<Portfolio, CashValueError> {
    read(format!("{HEADER}\n{FIRST}\n{line}\n"))
}

fn refusal(result: Result<Portfolio, CashValueError>) -> String {
    let message = result.unwrap_err().to_string();
    assert!(!message.contains(['\n', '\r']), "{message:?} is one line");
    message
}

#[test]
fn ways_to_write_the_same_portfolio_read_alike() {
    let plain = read(format!("{HEADER}\n{FIRST}\n{SECOND}\n")).unwrap();
    let header = HEADER.replace(',', " , ");
    let ways = [
        format!("\u{feff}{HEADER}\n{FIRST}\n{SECOND}\n"),
        format!("{HEADER}\r\n{FIRST}\r\n{SECOND}\r\n"),
        format!("{HEADER}\r{FIRST}\r{SECOND}\r"),
        format!("\n\n{HEADER}\n\n{FIRST}\n   \n{SECOND}\n\n"),
        format!("{header}\n{}\n  {SECOND}\t\n", FIRST.replace(',', " ,\t")),
        format!(
            "\"{}\"\n{FIRST}\n\"{}\"\n",
            HEADER.replace(',', "\",\""),
            SECOND.replace(',', "\",\"")
        ),
        format!(
            "{HEADER}\n1.0,A,2e1,,10.0,100.0,5e5,-0.0,500000.0,0\n+2,B,50,,20,100,5E5,-3.0,5e5,.0\n"
        ),
        format!("{HEADER},accum_prem_init_pp\n{FIRST},0\n{SECOND},what?\n"),
        String::from(
            "av_pp_init,premium_pp,duration_mth,sum_assured,policy_count,policy_term,age_at_entry,spec_id,\
             point_id\n0,500000,0,500000,100,10,20,A,1\n0,500000,-3,500000,100,20,50,B,2\n",
        ),
    ];
    for way in ways {
        let portfolio = read(&way).unwrap_or_else(|error| panic!("{way:?}: {error}"));
        assert_eq!(portfolio.columns, plain.columns, "{way:?}");
        assert_eq!(portfolio.point_ids(), plain.point_ids(), "{way:?}");
    }
}

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
fn a_wrong_value_is_named_with_its_line_and_column() {
    for (column, field, found, expected) in [
        (0, "x", "x", "a whole number"),
        (1, "", "", "a name that is not empty"),
        (2, "twenty", "twenty", "a whole number"),
        (2, "20.5", "20.5", "a whole number"),
        (2, "", "", "a whole number"),
        (2, "3000000000", "3000000000", "a whole number"),
        (4, "NaN", "NaN", "a whole number"),
        (5, "abc", "abc", "a finite number of at least 0"),
        (5, "nan", "nan", "a finite number of at least 0"),
        (6, "inf", "inf", "a finite number"),
        (6, "1e400", "1e400", "a finite number"),
        (6, "5 00", "5 00", "a finite number"),
        (6, "1_000", "1_000", "a finite number"),
        (6, "0x10", "0x10", "a finite number"),
        (6, "\"1,5\"", "1,5", "a finite number"),
        (8, "", "", "a finite number"),
        (9, "-", "-", "a finite number"),
    ] {
        let mut fields: Vec<&str> = SECOND.split(',').collect();
        fields[column] = field;
        let name = HEADER.split(',').nth(column).unwrap();
        assert_eq!(
            refusal(with(&fields.join(","))),
            format!(
                "points.csv: line 3, column \"{name}\": found \"{found}\", expected {expected}"
            )
        );
    }
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
        "points.csv: line 3: point 7 is projected over 119989 months, but the tables end after 1801 \
         (the last normal draw)"
    );
}

#[test]
fn lines_that_do_not_fit_the_header_are_refused() {
    assert_eq!(
        refusal(with("2,B,50,M,20,100")),
        "points.csv: line 3: found 6 fields, expected 10 as in the header"
    );
    assert_eq!(
        refusal(with(&format!("{SECOND},0"))),
        "points.csv: line 3: found 11 fields, expected 10 as in the header"
    );
}

#[test]
fn a_file_that_was_cut_short_is_refused() {
    let whole = format!("{HEADER}\n{FIRST}\n{SECOND}\n");
    for len in 0..whole.len() {
        let result = read(&whole[..len]);
        match len == HEADER.len() + FIRST.len() + 2 {
            // Only between two lines nothing can be seen.
            true => assert_eq!(result.unwrap().len(), 1),
            false => drop(refusal(result)),
        }
    }
    assert_eq!(
        refusal(read(whole.trim_end())),
        "points.csv: line 3 has no line break at its end, the file may have been cut short"
    );
}

#[test]
fn files_without_rows_are_refused() {
    let header = format!("{HEADER}\n");
    for text in ["", "\u{feff}", "\n", "\r\n \r\n", &header] {
        assert_eq!(
            refusal(read(text)),
            "points.csv: no rows, expected at least one"
        );
    }
}

#[test]
fn columns_must_be_there_once() {
    let renamed = HEADER.replace("premium_pp", "premium");
    assert_eq!(
        refusal(read(format!("{renamed}\n{FIRST}\n"))),
        "points.csv: line 1: no column \"premium_pp\""
    );
    let repeated = HEADER.replace("sex", "premium_pp");
    assert_eq!(
        refusal(read(format!("{repeated}\n{FIRST}\n"))),
        "points.csv: line 1: column \"premium_pp\" appears more than once"
    );
}

#[test]
fn what_is_not_text_is_refused() {
    let mut bytes = format!("{HEADER}\n{FIRST}\n").into_bytes();
    bytes.extend(b"2,\xff,");
    let message = "points.csv: line 3 is not text, expected comma-separated values in UTF-8";
    assert_eq!(refusal(read(&bytes)), message);
    assert_eq!(refusal(read(format!("{HEADER}\n{FIRST}\n2,\0\n"))), message);
    let utf16: Vec<u8> = HEADER.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(refusal(read(utf16)).contains("line 1 is not text"));
}

#[test]
fn a_stray_quote_does_not_swallow_lines() {
    let message = refusal(read(format!(
        "{HEADER}\n1,A,20,\"M,10,100,500000,0,500000,0\n2,B,50,\"M,20,100,500000,0,500000,0\n"
    )));
    assert_eq!(
        message,
        "points.csv: line 2, column \"sex\": found \"M,10,100,500000,0,500000,0\\n2,B,50,M\", \
         expected a field on one line"
    );
    assert!(
        refusal(with("2,B,50,\"M,20,100,500000,0,500000,0")).contains("line 3: found 4 fields")
    );
}

#[test]
fn a_long_field_is_shortened_in_the_message() {
    let message = refusal(with(&format!("2,B,{},M,20,1,5,0,5,0", "9é".repeat(5000))));
    assert!(
        message.len() < 200 && message.contains("...\", expected"),
        "{message}"
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
        (products, "is_wl", "wl", "line 1: no column \"is_wl\""),
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
        (mortality, ",3,", ",7,", "line 1: no column \"3\""),
        (mortality, "age,0", "age,year", "line 1: no column \"0\""),
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
