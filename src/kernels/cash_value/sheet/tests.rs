use super::super::testing::{FIRST, HEADER, SECOND, read, refusal, with};

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
        "points.csv: line 3 has no line break at its end: the file may have been cut short, expected a line break after every line"
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
        "points.csv: line 1: no column \"premium_pp\", expected it in the header"
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
