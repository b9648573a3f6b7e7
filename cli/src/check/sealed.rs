//! A SealedSecret as it stands in a manifest: form, names, place of each value, dates, keys, what the controller would refuse.
//!
//! No key is used, so no MAC is checked: whoever can write the file can write what is believed here.

use bulla_shared::binding::{Binding, Scope, ScopeKind};
use bulla_shared::names::{ItemName, Namespace, ObjectName};
use bulla_shared::opening::{AllowedTypes, SpecError, check_spec, json_item};
use bulla_shared::resources::sealed_secret::SealedSecret;
use bulla_shared::sealed::SealedValue;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};

use super::finding::{Sheet, Show, harmless};
use super::keys::Keys;
use super::rule::{
    FUTURE_DATE, INVALID_NAME, MALFORMED_OBJECT, MALFORMED_VALUE, NO_NAMESPACE, NO_ROTATION, NOT_STRICT, ROTATION_DUE,
    ROTATION_NEAR, Rule, SHADOWED_ITEM, SPEC_REFUSED, TEMPLATE_REFUSED, UNKNOWN_FIELD, WIDER_SCOPE, WRONG_NAMESPACE, WRONG_PLACE,
};
use crate::config::Choice;
use crate::manifest::{Node, sealed::resource};

/// Days before a date of rotation on which it is near.
const NEAR: i32 = 14;

/// Fields of a SealedSecret, by path.
const FIELDS: [(&[&str], &[&str]); 5] = [
    (&[], &["apiVersion", "kind", "metadata", "spec", "status"]),
    (&["spec"], &["encryptedData", "template", "target", "suspend"]),
    (&["spec", "template"], &["metadata", "type", "immutable", "data"]),
    (&["spec", "template", "metadata"], &["labels", "annotations"]),
    (&["spec", "target"], &["creationPolicy"]),
];

/// What values are compared with.
pub struct Expectations<'a> {
    /// What the rule for the path says, if one is for it.
    pub choice: Option<&'a Choice>,
    /// The known keys.
    pub keys: &'a Keys,
    /// The present.
    pub now: Timestamp,
    /// Today, in UTC.
    pub today: Date,
}

/// Checks one object.
pub fn check(sheet: &mut Sheet<'_>, node: &Node, expected: &Expectations<'_>) {
    sheet.object = Some(node.outer_start());
    let head = node.get("kind").unwrap_or(node).span();
    let object = super::plain::object_name(node);
    for (path, fields) in FIELDS {
        for (key, _) in node.at(path).and_then(Node::as_mapping).unwrap_or_default() {
            if let Some(name) = key.as_str().filter(|name| !fields.contains(name)) {
                let place = if path.is_empty() { "a SealedSecret".to_owned() } else { path.join(".") };
                let message = format!("{} is not a field of {place}", harmless(name));
                sheet.report(UNKNOWN_FIELD, key.span(), &Show::Nothing, &object, message);
            }
        }
    }
    let Some(sealed) = resource(node) else {
        sheet.report(MALFORMED_OBJECT, head, &Show::Span, &object, "not of the form of a SealedSecret");
        return;
    };
    let place = Place::read(sheet, node, &object, expected);
    values(sheet, node, &object, &place, expected);
    if place.namespace.is_none() && is_bound_to_namespace(&sealed) {
        let message = "no namespace here: whether the values are sealed for it cannot be said";
        sheet.report(NO_NAMESPACE, head.clone(), &Show::Span, &object, message);
    }
    spec(sheet, node, &object, &sealed, &head);
}

/// Whether some value is bound to a namespace, and the object names none.
fn is_bound_to_namespace(sealed: &SealedSecret) -> bool {
    let bound = |text: &String| text.parse::<SealedValue>().is_ok_and(|value| value.binding().scope != Scope::Cluster);
    sealed.metadata.namespace.is_none() && sealed.spec.encrypted_data.values().any(bound)
}

/// Namespace and name of the object, as far as they are known and valid.
struct Place {
    namespace: Option<Namespace>,
    name: Option<ObjectName>,
}

impl Place {
    fn read(sheet: &mut Sheet<'_>, node: &Node, object: &str, expected: &Expectations<'_>) -> Self {
        let wanted = expected.choice.and_then(|choice| choice.namespace.clone());
        let found = node.at(&["metadata", "namespace"]);
        let namespace: Option<Namespace> = valid(sheet, found, object);
        if let (Some(found), Some(namespace), Some(wanted)) = (found, &namespace, &wanted)
            && namespace != wanted
        {
            let message = format!("namespace {namespace}, where the rule for this path has {wanted}");
            sheet.report(WRONG_NAMESPACE, found.span(), &Show::Span, object, message);
        }
        let name = valid(sheet, node.at(&["metadata", "name"]), object);
        Self { namespace: namespace.or(if found.is_none() { wanted } else { None }), name }
    }

    /// Why a value of this scope does not open here.
    fn mismatch(&self, item: &str, scope: &Scope) -> Option<String> {
        let other = |what: &str, bound: &str| Some(format!("sealed for {what} {bound}: it does not open here"));
        let (namespace, strict) = match scope {
            Scope::Strict(place) => (&place.namespace, Some(place)),
            Scope::Namespace(namespace) => (namespace, None),
            Scope::Cluster => return None,
        };
        if self.namespace.as_ref().is_some_and(|here| here != namespace) {
            return other("namespace", namespace.as_str());
        }
        let strict = strict?;
        if self.name.as_ref().is_some_and(|here| *here != strict.name) {
            return other("name", strict.name.as_str());
        }
        (item != strict.item.as_str()).then(|| other("item", strict.item.as_str())).flatten()
    }
}

fn valid<T: std::str::FromStr<Err = impl std::fmt::Display>>(
    sheet: &mut Sheet<'_>,
    node: Option<&Node>,
    object: &str,
) -> Option<T> {
    let node = node?;
    let parsed = node.as_scalar()?.raw().parse::<T>();
    parsed.map_err(|error| sheet.report(INVALID_NAME, node.span(), &Show::Span, object, error.to_string())).ok()
}

fn values(sheet: &mut Sheet<'_>, node: &Node, object: &str, place: &Place, expected: &Expectations<'_>) {
    for (key, value) in node.at(&["spec", "encryptedData"]).and_then(Node::as_mapping).unwrap_or_default() {
        let (Some(item), Some(text)) = (key.as_scalar().map(crate::manifest::Scalar::raw), value.as_str()) else { continue };
        let (shown, subject) = (harmless(item), format!("{object} {}", harmless(item)));
        if let Err(error) = item.parse::<ItemName>() {
            sheet.report(INVALID_NAME, key.span(), &Show::Nothing, &subject, error.to_string());
        }
        let mut report = |rule: &'static Rule, show: Show, message: String| {
            sheet.report(rule, value.span(), &show, &subject, format!("item {shown}: {message}"));
        };
        let sealed: SealedValue = match text.parse() {
            Ok(sealed) => sealed,
            Err(error) => {
                // What is no sealed value may be a value in plain.
                report(MALFORMED_VALUE, Show::Masked(key.span()), format!("{error}"));
                continue;
            }
        };
        let binding = sealed.binding();
        if let Some(message) = place.mismatch(item, &binding.scope) {
            report(WRONG_PLACE, Show::Span, message);
        }
        for (rule, message) in dates(binding, expected).into_iter().chain(by_rule(binding, expected.choice)) {
            report(rule, Show::Span, message);
        }
        for (rule, message) in expected.keys.check(binding, expected.choice.map(|choice| choice.targets.as_slice())) {
            report(rule, Show::Span, message);
        }
    }
}

fn dates(binding: &Binding, expected: &Expectations<'_>) -> Vec<(&'static Rule, String)> {
    let mut found = Vec::new();
    if binding.sealed > expected.now.saturating_add(1.hour()).unwrap_or(expected.now) {
        found.push((FUTURE_DATE, format!("sealed {}", bulla_shared::binding::time_text(&binding.sealed))));
    }
    match binding.rotate_by {
        Some(date) if date <= expected.today => found.push((ROTATION_DUE, format!("due for rotation since {date}"))),
        Some(date) if date <= expected.today.saturating_add(NEAR.days()) => {
            found.push((ROTATION_NEAR, format!("due for rotation on {date}")));
        }
        _ => {}
    }
    found
}

fn by_rule(binding: &Binding, choice: Option<&Choice>) -> Vec<(&'static Rule, String)> {
    let width = |kind: ScopeKind| match kind {
        ScopeKind::Strict => 0,
        ScopeKind::Namespace => 1,
        ScopeKind::Cluster => 2,
    };
    let mut found = Vec::new();
    let Some(choice) = choice else { return found };
    if let Some(scope) = choice.scope
        && width(binding.scope.kind()) > width(scope)
    {
        found.push((WIDER_SCOPE, format!("scope {}, where the rule for this path has {scope}", binding.scope.kind())));
    }
    if choice.rotate_after.is_some() && binding.rotate_by.is_none() {
        found.push((NO_ROTATION, "no rotation date, though the rule for this path has rotateAfter".to_owned()));
    }
    found
}

/// What the controller refuses whatever the keys.
fn spec(sheet: &mut Sheet<'_>, node: &Node, object: &str, sealed: &SealedSecret, head: &std::ops::Range<usize>) {
    let template =
        |item: &ItemName| node.at(&["spec", "template", "data"]).and_then(|data| data.entry(item.as_str())).map(|(key, _)| key);
    if let Some(item) = json_item(&sealed.spec)
        && let Some(value) = node.at(&["spec", "encryptedData"]).and_then(|data| data.get(item))
        && sealed
            .spec
            .encrypted_data
            .get(item)
            .and_then(|text| text.parse::<SealedValue>().ok())
            .is_some_and(|value| value.binding().scope.kind() != ScopeKind::Strict)
    {
        sheet.report(
            NOT_STRICT,
            value.span(),
            &Show::Span,
            &format!("{object} {item}"),
            format!("item {item} is not sealed with scope strict"),
        );
    }
    let Err(error) = check_spec(&sealed.spec, &AllowedTypes::with([])) else { return };
    let type_ = node.at(&["spec", "template", "type"]).map(Node::span);
    let (rule, span) = match &error {
        // Reported where the name stands.
        SpecError::ItemName(_) => return,
        SpecError::SameItem(item) => (SHADOWED_ITEM, template(item).map(Node::span)),
        SpecError::Template(item, _) => (TEMPLATE_REFUSED, template(item).map(Node::span)),
        SpecError::Type | SpecError::MissingItem { .. } => (SPEC_REFUSED, type_),
        _ => (SPEC_REFUSED, None),
    };
    sheet.report(rule, span.unwrap_or_else(|| head.clone()), &Show::Span, object, error.to_string());
}
