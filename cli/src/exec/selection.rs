//! Which opened values the command gets, and under which names. The command line names each item, or gives what all names begin with: a file
//! alone names no variable.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::str::FromStr;

use bulla_shared::SecretBytes;
use bulla_shared::names::{ItemName, Namespace, ObjectName};

use super::names::Variable;
use crate::error::{Error, Kind};
use crate::source::Values;

/// `NAMESPACE/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    /// Namespace.
    pub namespace: Namespace,
    /// Name.
    pub name: ObjectName,
}

impl FromStr for Object {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (namespace, name) = text.split_once('/').ok_or("NAMESPACE/NAME is missing")?;
        let namespace = namespace.parse().map_err(|error| format!("namespace: {error}"))?;
        Ok(Self { namespace, name: name.parse().map_err(|error| format!("name: {error}"))? })
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// `[NAMESPACE/NAME/]ITEM[=ENV]`: an item that the command gets.
#[derive(Debug, Clone)]
pub struct Only {
    object: Option<Object>,
    item: ItemName,
    variable: Option<Variable>,
}

impl FromStr for Only {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, variable) = text.split_once('=').map_or((text, None), |(path, variable)| (path, Some(variable)));
        let (object, item) = path.rsplit_once('/').map_or((None, path), |(object, item)| (Some(object), item));
        Ok(Self {
            object: object.map(str::parse).transpose()?,
            item: item.parse().map_err(|error| format!("item: {error}"))?,
            variable: variable.map(str::parse).transpose().map_err(|error: super::names::BadName| format!("ENV: {error}"))?,
        })
    }
}

/// What the command line says about names.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The items that are wanted; with a prefix, all if there are none.
    pub only: &'a [Only],
    /// Put before names that the command line does not give.
    pub prefix: &'a str,
    /// Names that are given although they change how programs run, or are set already.
    pub allowed: &'a [Variable],
    /// The value goes into a file: a name that the command line does not give gets `_FILE`.
    pub as_files: bool,
    /// Names that differ in case alone are one.
    pub any_case: bool,
}

/// A value and its name.
#[derive(Debug)]
pub struct Chosen {
    /// How messages name it.
    pub label: String,
    /// Where it comes from.
    pub object: Object,
    /// Which one it is there.
    pub item: ItemName,
    /// The variable that it, or the path of its file, goes into.
    pub variable: Variable,
    /// The value.
    pub value: SecretBytes,
}

/// Gives each wanted value its name. `is_set` says which variables the command would have anyway.
pub fn choose(opened: Vec<(Object, Values)>, rules: Rules<'_>, is_set: impl Fn(&OsStr) -> bool) -> Result<Vec<Chosen>, Error> {
    let mut used = vec![false; rules.only.len()];
    let mut chosen: BTreeMap<Variable, Chosen> = BTreeMap::new();
    for (object, values) in opened {
        for (item, value) in values {
            let wanted = |only: &Only| only.item == item && only.object.as_ref().is_none_or(|named| *named == object);
            let rule = rules.only.iter().position(wanted);
            if rule.is_none() && !rules.only.is_empty() {
                continue;
            }
            if let Some(rule) = rule {
                used[rule] = true;
            }
            let label = format!("{object} {item}");
            let variable = name(&label, &item, rule.and_then(|rule| rules.only[rule].variable.clone()), rules)?;
            allow(&label, &variable, rules.allowed, &is_set)?;
            let next = Chosen { label, object: object.clone(), item, variable: variable.clone(), value };
            let key = if rules.any_case { variable.in_any_case() } else { variable.clone() };
            if let Some(other) = chosen.insert(key.clone(), next) {
                return Err(same_name(&variable, &other.label, &chosen[&key].label));
            }
        }
    }
    match rules.only.iter().zip(used).find(|(_, used)| !used) {
        None => Ok(chosen.into_values().collect()),
        Some((only, _)) => {
            let object = only.object.as_ref().map(|object| format!("{object} ")).unwrap_or_default();
            let is_twice = |other: &&Only| other.item == only.item && (other.object.is_none() || other.object == only.object);
            if rules.only.iter().filter(is_twice).count() > 1 {
                return Err(Error::new(Kind::Usage, format!("item {object}{} is named twice", only.item))
                    .hint("name it once, by one --only"));
            }
            let failed = Error::new(Kind::Usage, format!("there is no item {object}{}", only.item));
            Err(failed.hint("bulla inspect FILE lists them"))
        }
    }
}

fn name(label: &str, item: &ItemName, given: Option<Variable>, rules: Rules<'_>) -> Result<Variable, Error> {
    if let Some(given) = given {
        return Ok(given);
    }
    let name = Variable::of_item(rules.prefix, item.as_str()).map_err(|error| {
        let failed = Error::new(Kind::Usage, format!("{label} has no name as a variable")).cause(error);
        failed.hint(format!("give it one: --only {item}=ENV, or --prefix for all"))
    })?;
    Ok(if rules.as_files { name.of_file() } else { name })
}

/// Two values of one name.
#[must_use]
pub fn same_name(variable: &Variable, first: &str, second: &str) -> Error {
    let failed = Error::new(Kind::Usage, format!("two values would be {variable}")).cause(format!("{first} and {second}"));
    failed.hint("give one of them another name: --only NAMESPACE/NAME/ITEM=ENV, for each item that is wanted")
}

/// Refuses a name that changes how programs run, or is taken, unless the command line says that it is meant.
pub fn allow(label: &str, variable: &Variable, allowed: &[Variable], is_set: impl Fn(&OsStr) -> bool) -> Result<(), Error> {
    if allowed.contains(variable) {
        return Ok(());
    }
    let why = match variable.changes() {
        Some(what) => format!("the variable changes {what}, and the value comes from a file"),
        None if is_set(OsStr::new(variable.as_str())) => "the variable is set already, and something may rely on it".to_owned(),
        None => return Ok(()),
    };
    let hint = format!("give it another name with --only ITEM=ENV or --prefix, or say that it is meant: --allow-name {variable}");
    Err(Error::new(Kind::Usage, format!("{label} would be {variable}")).cause(why).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> Vec<(Object, Values)> {
        let values = |items: &[&str]| -> Values {
            items.iter().map(|item| (item.parse().unwrap(), SecretBytes::new(item.as_bytes().to_vec()))).collect()
        };
        vec![("shop/db".parse().unwrap(), values(&["password", "user"])), ("shop/mq".parse().unwrap(), values(&["password"]))]
    }

    fn names(only: &[&str], prefix: &str, allowed: &[&str], as_files: bool) -> Result<Vec<String>, String> {
        let only: Vec<Only> = only.iter().map(|only| only.parse().unwrap()).collect();
        let allowed: Vec<Variable> = allowed.iter().map(|name| name.parse().unwrap()).collect();
        let rules = Rules { only: &only, prefix, allowed: &allowed, as_files, any_case: false };
        let chosen = choose(opened(), rules, |name| name == "TAKEN").map_err(|error| error.one_line())?;
        Ok(chosen.iter().map(|chosen| format!("{}={}", chosen.variable, chosen.label)).collect())
    }

    #[test]
    fn the_command_line_names_what_is_given() {
        assert_eq!(names(&["user"], "", &[], false).unwrap(), ["USER=shop/db user"]);
        assert_eq!(names(&["user"], "DB_", &[], false).unwrap(), ["DB_USER=shop/db user"]);
        assert_eq!(names(&["user=Login"], "DB_", &[], false).unwrap(), ["Login=shop/db user"]);
        assert_eq!(
            names(&["user", "shop/mq/password=KEY"], "", &[], true).unwrap(),
            ["KEY=shop/mq password", "USER_FILE=shop/db user"]
        );
        assert_eq!(names(&["user=TAKEN"], "", &["TAKEN"], false).unwrap(), ["TAKEN=shop/db user"]);
    }

    #[test]
    fn what_is_ambiguous_absent_or_dangerous_is_refused() {
        assert_eq!(
            names(&[], "", &[], false).unwrap_err(),
            "two values would be PASSWORD: shop/db password and shop/mq password"
        );
        assert_eq!(names(&["passwd"], "", &[], false).unwrap_err(), "there is no item passwd");
        assert_eq!(names(&["shop/mq/user"], "", &[], false).unwrap_err(), "there is no item shop/mq user");
        for name in ["PATH", "TAKEN", "LD_PRELOAD"] {
            let refused = names(&[&format!("user={name}")], "", &[], false).unwrap_err();
            assert!(refused.starts_with(&format!("shop/db user would be {name}: the variable ")), "{refused}");
        }
    }
}
