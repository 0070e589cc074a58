use super::*;

#[test]
fn what_fits_is_printed_as_it_is() {
    for text in ["", "abc", "a\"b'c\\", "é\n\t\u{1}\u{202e}", &"x".repeat(60)] {
        assert_eq!(quoted(text).to_string(), format!("{text:?}"));
    }
    for text in ["", "a/b c.csv", "it's \"C:\\x\"", &"é".repeat(200)] {
        assert_eq!(name(text).to_string(), text);
        assert_eq!(path(Path::new(text)).to_string(), text);
    }
    assert_eq!(few([1, 2, 3]), "[1, 2, 3]");
    assert_eq!(few(1..=12_u8), format!("{:?}", Vec::from_iter(1..=12)));
    assert_eq!(few(["a", "\n"].map(quoted)), r#"["a", "\n"]"#);
    assert_eq!(few::<u8>([]), "[]");
}

#[test]
fn what_does_not_fit_is_cut_and_its_length_is_said() {
    let text = "x".repeat(61);
    let cut = format!("61 bytes \"{}...\"", "x".repeat(60));
    assert_eq!(quoted(&text).to_string(), cut);
    let text = format!("/folder/{}/points.csv", "y".repeat(50_000_000));
    let shown = path(Path::new(&text)).to_string();
    assert!(shown.starts_with("50000019 bytes ...yyy"), "{shown}");
    assert!(shown.ends_with("yyy/points.csv"), "{shown}");
    assert_eq!(shown.len(), "50000019 bytes ...".len() + 200);
    assert_eq!(name(&text).to_string(), shown);
    let many = few(0..1_000_000_u32);
    assert_eq!(
        many,
        "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] and 999988 more"
    );
}

#[test]
fn a_cut_is_between_characters_and_nothing_breaks_the_line() {
    for unit in ["😀", "é", "👩‍👩‍👧‍👦", "\n", "\u{0}", "\u{202e}", "\"", "\\"] {
        for more in 0..4 {
            let text = "a".repeat(more) + &unit.repeat(300);
            for shown in [quoted(&text).to_string(), name(&text).to_string()] {
                assert!(shown.len() < 1_700, "{shown}");
                assert!(!shown.contains(['\n', '\u{0}', '\u{202e}']), "{shown:?}");
                let length = format!("{} bytes ", text.len());
                assert!(shown.starts_with(&length), "{shown}");
            }
        }
    }
    let family = "👩‍👩‍👧‍👦".repeat(2);
    assert_eq!(quoted(&family).to_string(), format!("{family:?}"));
    assert_eq!(
        name("two\nlines\u{2028}\u{7f}").to_string(),
        r"two\nlines\u{2028}\u{7f}"
    );
}
