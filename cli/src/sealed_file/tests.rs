//! Bytes before and after: what is edited is what was meant, and nothing else.

use bulla_shared::age::{Algorithm, Identity};
use bulla_shared::binding::Scope;
use bulla_shared::sealed::Recipients;

use super::*;

fn value() -> SealedValue {
    let recipients = Recipients::new([Identity::generate(Algorithm::X25519).recipient().clone()]).unwrap();
    SealedValue::seal(b"x", Scope::Cluster, &recipients, jiff::Timestamp::UNIX_EPOCH, None).unwrap()
}

const HEAD: &str =
    "apiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\nmetadata: {name: db, namespace: a}\nspec:\n  encryptedData:\n";

#[test]
fn only_the_value_changes_however_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yaml");
    let (old, other, new) = (value(), value(), value());
    let half = old.to_string().len() / 2;
    let (first, second) = (old.to_string()[..half].to_owned(), old.to_string()[half..].to_owned());
    for (before, after) in [
        (format!("    a: {old} # note\n    b: {other}\n"), format!("    a: {new} # note\n    b: {other}\n")),
        (format!("    'a': \"{old}\"\n    b: '{other}'   \n"), format!("    'a': \"{new}\"\n    b: '{other}'   \n")),
        (
            format!("    # c\n    a: >-\n      {old}\n\n    b: {other}\n---\nkind: x\n"),
            format!("    # c\n    a: {new}\n\n    b: {other}\n---\nkind: x\n"),
        ),
        (format!("    a: \"{first}\\\n      {second}\"\n    b: {other}"), format!("    a: \"{new}\"\n    b: {other}")),
        (format!("    {{a: {old}, b: {other}}}\n"), format!("    {{a: {new}, b: {other}}}\n")),
    ] {
        for ending in ["\n", "\r\n"] {
            let fit = |text: &str| (HEAD.to_owned() + text).replace('\n', ending);
            std::fs::write(&path, fit(&before)).unwrap();
            let file = SealedFile::read(&path).unwrap().unwrap();
            assert_eq!((file.values[0].value.clone(), file.values[1].value.clone()), (old.clone(), other.clone()), "{before}");
            assert_eq!(file.values[0].label(), "a/db a");
            file.replace(&[(0, new.clone())]).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), fit(&after));
        }
    }
}

#[test]
fn another_item_is_written_as_its_neighbours_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yaml");
    let (old, new) = (value(), value());
    let flow = "apiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\nmetadata: {name: db}\nspec: {encryptedData: ";
    let json = "{\"apiVersion\":\"bulla.dev/v1alpha1\",\"kind\":\"SealedSecret\",\"metadata\":{\"name\":\"db\"},\"spec\":{\"encryptedData\":";
    for (item, before, after) in [
        (
            "user",
            format!("{HEAD}    a: {old} # note\n---\nb: 1\n"),
            format!("{HEAD}    a: {old} # note\n    user: {new}\n---\nb: 1\n"),
        ),
        ("on", format!("{HEAD}    a: {old}"), format!("{HEAD}    a: {old}\n    \"on\": {new}")),
        ("0123", format!("{HEAD}    \"a\": \"{old}\"\n"), format!("{HEAD}    \"a\": \"{old}\"\n    \"0123\": \"{new}\"\n")),
        ("user", format!("{HEAD}    a: >-\n      {old}\n\n"), format!("{HEAD}    a: >-\n      {old}\n    user: {new}\n\n")),
        ("user", format!("{flow}{{a: {old}}}}}\n"), format!("{flow}{{a: {old}, user: {new}}}}}\n")),
        ("user", format!("{json}{{\"a\":\"{old}\"}}}}}}"), format!("{json}{{\"a\":\"{old}\", \"user\": \"{new}\"}}}}}}")),
        (
            "user",
            format!("{json}{{\n\t\"a\":\"{old}\"\n}}}}}}"),
            format!("{json}{{\n\t\"a\":\"{old}\",\n\t\"user\": \"{new}\"\n}}}}}}"),
        ),
        ("a", format!("{HEAD}    a: {old} # note\n"), format!("{HEAD}    a: {new} # note\n")),
    ] {
        for ending in ["\n", "\r\n"] {
            std::fs::write(&path, before.replace('\n', ending)).unwrap();
            let file = SealedFile::read(&path).unwrap().unwrap();
            let edited = file.edited(&file.values[0], &[Change::Set(item.parse().unwrap(), Box::new(new.clone()))]).unwrap();
            file.finish(&edited, false).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after.replace('\n', ending));
        }
    }
}

#[test]
fn what_is_not_sealed_is_passed_over_and_what_changed_meanwhile_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yaml");
    for text in [&b"\xff\xfe\x00binary"[..], b"{{ helm }}: {{", b"kind: Secret\n"] {
        std::fs::write(&path, text).unwrap();
        assert!(SealedFile::read(&path).unwrap().is_none());
    }
    for text in ["    a: nonsense\n", "    a: [1]\n", "    a: 1\n", "   a: *b\n"] {
        std::fs::write(&path, HEAD.to_owned() + text).unwrap();
        assert!(SealedFile::read(&path).is_err(), "{text}");
    }
    std::fs::write(&path, format!("{HEAD}    a: {}\n", value())).unwrap();
    let file = SealedFile::read(&path).unwrap().unwrap();
    std::fs::write(&path, "somebody else's").unwrap();
    assert!(file.replace(&[(0, value())]).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "somebody else's");
}

fn edited(text: &str, changes: &[Change]) -> Result<String, String> {
    let file = SealedFile::of(Path::new("a.yaml"), text.as_bytes()).unwrap().unwrap();
    file.edited(&file.values[0], changes).map(|text| text.to_string()).map_err(|error| error.one_line())
}

fn unset(items: &[&str]) -> Vec<Change> {
    items.iter().map(|item| Change::Unset(item.parse().unwrap())).collect()
}

const FLOW: &str = "apiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\nmetadata: {name: db}\nspec:\n  encryptedData: ";

#[test]
fn an_item_goes_with_its_line_or_comma_alone() {
    let v = value();
    for (items, before, after) in [
        (
            &["a"][..],
            format!("{HEAD}    # c\n    a: {v} # note\n    # d\n    b: {v}\n"),
            format!("{HEAD}    # c\n    # d\n    b: {v}\n"),
        ),
        (&["b"], format!("{HEAD}    a: {v}\n    b: {v}"), format!("{HEAD}    a: {v}\n")),
        (&["b", "a"], format!("{HEAD}    a: {v}\n    b: >-\n      {v}\n\n    c: {v}\n"), format!("{HEAD}\n    c: {v}\n")),
        (&["a"], format!("{FLOW}{{a: {v}, b: {v}}}\n"), format!("{FLOW}{{b: {v}}}\n")),
        (&["b"], format!("{FLOW}{{a: {v}, b: {v}}}\n"), format!("{FLOW}{{a: {v}}}\n")),
        (&["b", "c"], format!("{FLOW}{{a: {v}, b: {v}, c: {v} }}\n"), format!("{FLOW}{{a: {v} }}\n")),
        (&["a"], format!("{FLOW}{{\n    a: {v},\n    b: {v}\n  }}\n"), format!("{FLOW}{{\n    b: {v}\n  }}\n")),
        (&["b"], format!("{FLOW}{{\n    a: {v},\n    b: {v}\n  }}\n"), format!("{FLOW}{{\n    a: {v}\n  }}\n")),
        (
            &["b"],
            format!("{FLOW}{{\n    a: {v}, # c, d\n    b: {v}\n  }}\n"),
            format!("{FLOW}{{\n    a: {v} # c, d\n    \n  }}\n"),
        ),
        (&["b"], format!("{FLOW}{{a: {v}, b: {v},}}\n"), format!("{FLOW}{{a: {v},}}\n")),
    ] {
        for ending in ["\n", "\r\n"] {
            assert_eq!(edited(&before.replace('\n', ending), &unset(items)), Ok(after.replace('\n', ending)));
        }
    }
}

#[test]
fn several_changes_are_one_edit() {
    let (old, new) = (value(), value());
    let set = |item: &str| Change::Set(item.parse().unwrap(), Box::new(new.clone()));
    let before = format!("{HEAD}    a: {old} # a\n    b: {old} # b\n    c: {old} # c\n");
    let changes = [set("no"), Change::Unset("c".parse().unwrap()), set("b"), set("d"), Change::Unset("a".parse().unwrap())];
    assert_eq!(edited(&before, &changes), Ok(format!("{HEAD}    b: {new} # b\n    \"no\": {new}\n    d: {new}\n")));
}

#[test]
fn what_cannot_be_edited_is_refused() {
    let v = value();
    let set = [Change::Set("new".parse().unwrap(), Box::new(value()))];
    for (changes, text, cause) in [
        (&unset(&["a"])[..], format!("{HEAD}    a: {v}\n"), "no item would be left"),
        (&unset(&["b"]), format!("{HEAD}    a: {v}\n"), "there is no item b"),
        (&set, format!("{HEAD}    a: {v}\n  template: {{data: {{new: x}}}}\n"), "spec.template.data makes an item new"),
        (
            &set,
            HEAD.replace("Data:", "Data: &x") + &format!("    a: {v}\n  template: *x\n"),
            "an anchor in a Secret that an alias refers to",
        ),
        (
            &set,
            HEAD.replace("spec:", "spec: &x") + &format!("    a: {v}\nother: *x\n"),
            "an anchor in a Secret that an alias refers to",
        ),
        (
            &set,
            format!("{HEAD}    a: &x {v}\n  template: {{metadata: {{annotations: {{a: *x}}}}}}\n"),
            "an anchor in a Secret that an alias refers to",
        ),
        (
            &[Change::Set("a".parse().unwrap(), Box::new(value()))],
            format!("{HEAD}    ? a\n    : {v}\n"),
            "a key in a Secret that is not a simple name",
        ),
        (&set, format!("{FLOW}{{a: !!str {v}}}\n"), "a tag in a Secret that parsers read differently"),
    ] {
        let error = edited(&text, changes).unwrap_err();
        assert!(error.contains(cause), "{cause}: {error}");
    }
    let many: String = (0..256).map(|n| format!("    a{n}: {v}\n")).collect();
    assert!(edited(&format!("{HEAD}{many}"), &set).unwrap_err().contains("more than 256 items"));
    let alias_elsewhere = format!("x: &x 1\ny: *x\n---\n{HEAD}    a: {v}\n");
    assert!(edited(&alias_elsewhere, &set).is_ok());
}
