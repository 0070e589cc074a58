use super::*;
use std::panic::panic_any;

/// Throws another one of itself when it is dropped, as deep as the number says.
struct Nested(usize);

impl Drop for Nested {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic_any(Nested(self.0 - 1));
        }
    }
}

#[test]
fn dropping_a_panic_never_unwinds() {
    for depth in 0..9 {
        drop(caught(|| panic_any(Nested(depth))).unwrap_err());
    }
}

#[test]
fn discarding_never_unwinds() {
    for depth in 0..9 {
        discard(Nested(depth));
        discard((Nested(depth), 1));
        discard(caught(|| -> Nested { panic_any(Nested(depth)) }));
    }
}

#[test]
fn a_panic_keeps_its_payload_and_its_message() {
    let number = caught(|| panic_any(7_u8)).unwrap_err();
    assert_eq!(number.message(), None);
    assert_eq!(number.to_string(), "a payload that is not text");
    assert_eq!(*number.into_payload().downcast::<u8>().unwrap(), 7);

    let literal = caught(|| panic!("as it is")).unwrap_err();
    assert_eq!(literal.message(), Some("as it is"));
    assert!(literal.into_payload().is::<&'static str>());

    let seven = 7;
    let text = caught(|| panic!("{seven}")).unwrap_err();
    assert_eq!(format!("{text:?}"), "Panic(\"7\")");
    assert_eq!(*text.into_payload().downcast::<String>().unwrap(), "7");
}

#[test]
fn a_panic_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Panic>();
}
