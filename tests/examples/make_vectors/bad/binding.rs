//! Refused for its binding, argument by argument.

use bulla_shared::age::Identity;

use super::{Stage, change, id};
use crate::forge::stanza;

pub(super) fn first_stanza(stage: &mut Stage<'_>) {
    let (binding, ours) = (stage.binding.clone(), stage.ours.clone());
    let with_body = stanza(&stage.args, b"body");
    for (file, comment, stanzas) in [
        ("none", "a plain age file", ours.clone()),
        ("last", "the binding stands after the recipient", format!("{ours}{binding}")),
        ("after-grease", "the binding stands after grease", format!("-> x-grease\n\n{binding}{ours}")),
        ("version", "a later version of the binding", format!("{}{ours}", change(&binding, "/v1 ", "/v2 "))),
        ("type-case", "the type in capitals", format!("{}{ours}", change(&binding, "bulla.dev", "BULLA.DEV"))),
        ("body", "the binding has a body", format!("{with_body}{ours}")),
    ] {
        let sealed = stage.sealed(&[&stanzas]);
        stage.refused(
            &format!("binding-{file}"),
            comment,
            sealed,
            "the first stanza is not a bulla.dev/v1 binding with an empty body",
        );
    }
    let no_args = stage.sealed(&["-> bulla.dev/v1\n\n", &ours]);
    stage.refused("binding-no-arguments", "no arguments", no_args, "expected argument scope");

    let many: Vec<_> = (0..31).map(|_| Identity::generate(stage.algorithm)).collect();
    let wraps: String = many.iter().map(|identity| stage.key.wrap(identity.recipient())).collect();
    let sealed = stage.sealed(&[&stage.binding_of(&many.iter().collect::<Vec<_>>()), &wraps]);
    stage.refused("binding-keys-many", "31 keys and as many recipients", sealed, "more than 30 keys");
}

/// Writes a value whose binding has one occurrence of `from` changed.
fn edit(stage: &mut Stage<'_>, what: &str, from: &str, to: &str, reason: &str) {
    let stanzas = stage.sealed(&[&stanza(&change(&stage.args, from, to), b""), &stage.ours]);
    let comment = if to.is_empty() { format!("no '{from}'") } else { format!("'{to}' for '{from}'") };
    stage.refused(&format!("binding-{what}"), &format!("the binding has {comment}"), stanzas, reason);
}

fn expected(what: &str) -> String {
    format!("binding: expected argument {what}")
}

fn form(what: &str) -> String {
    format!("the value of {what} is not in canonical form")
}

fn trailing(position: usize) -> String {
    format!("unknown, repeated or misplaced argument at position {position}")
}

pub(super) fn scope_and_names(stage: &mut Stage<'_>) {
    let mut edit = |what: &str, from: &str, to: &str, reason: &str| edit(stage, what, from, to, reason);
    let does_not_take =
        |what: &str, at: usize| format!("{what} has a character at offset {at} that Kubernetes does not take there");
    let long = |name: &str, count: usize| format!("{name}={}", "a".repeat(count));
    let names = "namespace=prod name=db item=item";
    let (namespace, name, item) = ("namespace=prod", "name=db", "item=item");
    edit("scope-missing", "scope=strict ", "", &expected("scope"));
    edit("scope-empty", "scope=strict", "scope=", &form("scope"));
    edit("scope-case", "scope=strict", "scope=Strict", &form("scope"));
    edit("scope-unknown", "scope=strict", "scope=object", &form("scope"));
    edit("scope-flag", "scope=strict", "strict", &expected("scope"));
    edit("scope-repeated", "scope=strict", "scope=strict scope=strict", &expected("namespace"));
    edit("cluster-with-names", "scope=strict", "scope=cluster", &expected("keys"));
    edit("namespace-with-names", "scope=strict", "scope=namespace", &expected("keys"));
    edit("namespace-without-namespace", &format!("scope=strict {names}"), "scope=namespace", &expected("namespace"));
    edit("strict-without-names", &format!(" {names}"), "", &expected("namespace"));
    edit("strict-without-name", " name=db", "", &expected("name"));
    edit("strict-without-item", " item=item", "", &expected("item"));
    edit("names-order", "name=db item=item", "item=item name=db", &expected("name"));
    edit("namespace-repeated", namespace, &format!("{namespace} {namespace}"), &expected("name"));
    edit("namespace-empty", namespace, "namespace=", "namespace is empty");
    edit("namespace-case", namespace, "namespace=Prod", &does_not_take("namespace", 0));
    edit("namespace-dot", namespace, "namespace=a.b", &does_not_take("namespace", 1));
    edit("namespace-long", namespace, &long("namespace", 64), "namespace is longer than 63 characters");
    edit("name-empty", name, "name=", "name is empty");
    edit("name-case", name, "name=dB", &does_not_take("name", 1));
    edit("name-dots", name, "name=d..b", &does_not_take("name", 2));
    edit("name-end", name, "name=db-", &does_not_take("name", 2));
    edit("name-long", name, &long("name", 254), "name is longer than 253 characters");
    edit("name-missing-value", name, "name", &expected("name"));
    edit("item-empty", item, "item=", "item name is empty");
    edit("item-slash", item, "item=../item", &does_not_take("item name", 2));
    edit("item-equals", item, "item=a=b", &does_not_take("item name", 1));
    edit("item-dots", item, "item=..item", &does_not_take("item name", 0));
    edit("item-dot", item, "item=.", &does_not_take("item name", 0));
    edit("item-long", item, &long("item", 254), "item name is longer than 253 characters");
    edit("name-of-namespace", name, "namespace=db", &expected("name"));
}

pub(super) fn keys(stage: &mut Stage<'_>) {
    let id = id(&stage.identity);
    let keys = format!("keys={id}");
    let mut edit = |what: &str, from: &str, to: &str, reason: &str| edit(stage, what, from, to, reason);
    edit("keys-missing", &format!(" {keys}"), "", &expected("keys"));
    edit("keys-empty", &keys, "keys=", &form("keys"));
    edit("keys-short", &keys, &format!("keys={}", &id[..15]), &form("keys"));
    edit("keys-long", &keys, &format!("{keys}00"), &form("keys"));
    edit("keys-case", &keys, "keys=4F1C000000000000", &form("keys"));
    edit("keys-not-hex", &keys, "keys=4g1c000000000000", &form("keys"));
    edit("keys-comma", &keys, &format!("{keys},"), &form("keys"));
    edit("keys-commas", &keys, &format!("{keys},,4f1c000000000000"), &form("keys"));
    edit("keys-semicolon", &keys, &format!("{keys};4f1c000000000000"), &form("keys"));
    edit("keys-repeated", &keys, &format!("{keys},{id}"), "the same id stands twice in keys");
    edit("keys-twice", &keys, &format!("{keys} {keys}"), &expected("sealed"));
}

pub(super) fn times(stage: &mut Stage<'_>) {
    let mut edit = |what: &str, from: &str, to: &str, reason: &str| edit(stage, what, from, to, reason);
    let (sealed, rotate) = ("sealed=2026-11-23T06:50:00Z", "rotate-by=2027-02-21");
    edit("sealed-missing", " sealed=2026-11-23T06:50:00Z", "", &expected("sealed"));
    edit("sealed-empty", sealed, "sealed=", &form("sealed"));
    edit("sealed-fraction", sealed, "sealed=2026-11-23T06:50:00.0Z", &form("sealed"));
    edit("sealed-minutes", sealed, "sealed=2026-11-23T06:50Z", &form("sealed"));
    edit("sealed-offset", sealed, "sealed=2026-11-23T06:50:00+00:00", &form("sealed"));
    edit("sealed-zone", sealed, "sealed=2026-11-23T08:50:00+02:00", &form("sealed"));
    edit("sealed-local", sealed, "sealed=2026-11-23T06:50:00", &form("sealed"));
    edit("sealed-case", sealed, "sealed=2026-11-23t06:50:00z", &form("sealed"));
    edit("sealed-leap", sealed, "sealed=2026-11-23T06:50:60Z", &form("sealed"));
    edit("sealed-midnight", sealed, "sealed=2026-11-23T24:00:00Z", &form("sealed"));
    edit("sealed-day", sealed, "sealed=2026-11-31T06:50:00Z", &form("sealed"));
    edit("sealed-year", sealed, "sealed=-002026-11-23T06:50:00Z", &form("sealed"));
    edit("sealed-date", sealed, "sealed=2026-11-23", &form("sealed"));
    edit("sealed-seconds", sealed, "sealed=1795416600", &form("sealed"));
    edit("sealed-twice", sealed, &format!("{sealed} {sealed}"), &trailing(7));
    edit("rotate-by-empty", rotate, "rotate-by=", &form("rotate-by"));
    edit("rotate-by-day", rotate, "rotate-by=2027-02-29", &form("rotate-by"));
    edit("rotate-by-compact", rotate, "rotate-by=20270221", &form("rotate-by"));
    edit("rotate-by-short", rotate, "rotate-by=2027-2-21", &form("rotate-by"));
    edit("rotate-by-year", rotate, "rotate-by=-002027-02-21", &form("rotate-by"));
    edit("rotate-by-time", rotate, "rotate-by=2027-02-21T00:00:00Z", &form("rotate-by"));
    edit("rotate-by-twice", rotate, &format!("{rotate} {rotate}"), &trailing(8));
    edit("rotate-by-case", rotate, "Rotate-By=2027-02-21", &trailing(7));
    edit("rotate-by-first", &format!("{sealed} {rotate}"), &format!("{rotate} {sealed}"), &expected("sealed"));
    edit("unknown-last", rotate, &format!("{rotate} x=y"), &trailing(8));
    edit("unknown-first", "scope=strict", "x=y scope=strict", &expected("scope"));
    edit("unknown-between", rotate, &format!("x=y {rotate}"), &trailing(7));
}
