//! The rules: id, severity, what is wrong, what to do. `docs/rules.md` has a section for each; a test compares them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; may be as it should.
    Note,
    /// Will need work, or may be wrong; does not fail a run.
    Warning,
    /// Wrong or leaked; fails a run.
    Error,
}

impl Severity {
    /// The word in reports and in `.bulla.yaml`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is looked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// What the command line, configuration and reports call it.
    pub id: &'static str,
    /// Unless the configuration says otherwise.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub title: &'static str,
    /// What to do.
    pub fix: &'static str,
}

impl Rule {
    /// The rule with this id.
    #[must_use]
    pub fn named(id: &str) -> Option<&'static Self> {
        ALL.iter().find(|rule| rule.id == id)
    }
}

macro_rules! rules {
    ($($name:ident: $id:literal, $severity:ident, $title:literal, $fix:literal;)*) => {
        $(#[doc = $title] pub static $name: &Rule = &ALL[Index::$name as usize];)*

        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "names of the statics, to number them")]
        enum Index { $($name),* }

        /// All rules, in the order of `docs/rules.md`.
        pub static ALL: &[Rule] = &[$(Rule { id: $id, severity: Severity::$severity, title: $title, fix: $fix }),*];
    };
}

rules! {
    PLAINTEXT_SECRET: "plaintext-secret", Error, "A Secret has a value in plain",
        "change the value where it is used, then seal it: bulla seal --in-place FILE";
    PLAINTEXT_GENERATOR: "plaintext-generator", Error, "A kustomize secretGenerator has a value in plain",
        "change the value where it is used, and put a SealedSecret in the generator's place";
    AGE_IDENTITY: "age-identity", Error, "An age identity, which opens everything sealed to it",
        "treat it as known to all who can read the repository: new key, new values";
    PRIVATE_KEY: "private-key", Error, "A private key",
        "treat it as known to all who can read the repository: make a new one, and seal it";
    ENCRYPTED_PRIVATE_KEY: "encrypted-private-key", Warning, "A private key under a passphrase",
        "the passphrase can be guessed offline for ever: make a new key, and seal it";

    NOT_TEXT: "not-text", Error, "A manifest that is not UTF-8 text",
        "save the file as UTF-8";
    UTF16: "utf-16", Warning, "A manifest in UTF-16, which kubectl does not read",
        "save the file as UTF-8";
    TOO_LARGE: "too-large", Error, "Too large or nested too deeply to be looked at",
        "split the file, or leave it out";
    LARGE_TEXT: "large-text", Warning, "A text that is too large to be searched for private keys",
        "leave it out, if it is made by a program";
    LFS_POINTER: "lfs-pointer", Warning, "A manifest that Git LFS keeps elsewhere",
        "keep manifests in Git itself, or check them where git lfs pull has brought them";
    NOT_YAML: "not-yaml", Error, "A manifest with Secrets that is not YAML",
        "mend the line that is named, or the one above it";
    UNRENDERED_TEMPLATE: "unrendered-template", Note, "Sealed values in a template, looked at only when it is rendered",
        "check what it renders to: helm template CHART | bulla check -";
    FOREIGN_LINE_BREAK: "foreign-line-break", Error, "A character that kubectl reads as a line break and others do not",
        "remove the character, or write it as an escape in a double-quoted string";
    FOREIGN_DOCUMENT: "foreign-document", Error, "kubectl finds other documents in this file than YAML says",
        "put a line of three dashes, and nothing else, between documents";
    DUPLICATE_KEY: "duplicate-key", Error, "A key that is there twice",
        "remove one of the two: which one counts differs between tools";
    AMBIGUOUS_SECRET: "ambiguous-secret", Error, "A Secret or SealedSecret that parsers read differently",
        "write it without aliases, merge keys, tags, and keys that are not text";

    MALFORMED_OBJECT: "malformed-object", Error, "Not of the form of a SealedSecret",
        "compare it with what bulla seal writes; text that looks like a number or a boolean needs quotes";
    UNKNOWN_FIELD: "unknown-field", Warning, "A field that a SealedSecret does not have",
        "check the spelling: the API server drops it";
    INVALID_NAME: "invalid-name", Error, "A name that Kubernetes does not take",
        "use lower-case letters, digits and dashes; item names may have capitals, dots and underscores too";
    MALFORMED_VALUE: "malformed-value", Error, "A value that is not sealed, or not in canonical form",
        "take it from an earlier commit, or seal the value again";
    WRONG_PLACE: "wrong-place", Error, "A value sealed for another place: it does not open here",
        "move it back, or seal the value again for this place: bulla set FILE ITEM";
    NO_NAMESPACE: "no-namespace", Note, "No namespace to compare the values with",
        "add metadata.namespace, or check what is rendered: kustomize build DIR | bulla check -";
    SHADOWED_ITEM: "shadowed-item", Error, "An item stands in encryptedData and in template.data",
        "remove one of the two: the controller refuses both";
    TEMPLATE_REFUSED: "template-refused", Error, "A template that the controller refuses",
        "docs/sealed-secret.md has the grammar: {{ item | filter }}";
    SPEC_REFUSED: "spec-refused", Error, "A SealedSecret that the controller refuses whatever its keys",
        "change what the message names; docs/rules.md says what is allowed";
    NOT_STRICT: "not-strict", Error, "An item that must be JSON is not sealed with scope strict",
        "seal it again with --scope strict";
    FUTURE_DATE: "future-date", Warning, "Sealed at a time that has not come",
        "check the clock of the machine that sealed it, and seal the value again";
    ROTATION_DUE: "rotation-due", Warning, "The value is due for rotation",
        "make a new value where it is used, then: bulla set FILE ITEM";
    ROTATION_NEAR: "rotation-near", Note, "The value is due for rotation within two weeks",
        "make a new value where it is used, then: bulla set FILE ITEM";

    NO_RULE: "no-rule", Warning, "No rule of .bulla.yaml is for this sealed file",
        "add a rule for its path: its keys were compared with those of all targets";
    WRONG_NAMESPACE: "wrong-namespace", Error, "Another namespace than the rule for this path has",
        "move the file, or change metadata.namespace and seal the values again";
    WIDER_SCOPE: "wider-scope", Warning, "A wider scope than the rule for this path has",
        "seal the value again with the scope of the rule";
    NO_ROTATION: "no-rotation", Note, "No rotation date, though the rule for this path has one",
        "with the next new value bulla set adds it";
    BAD_RECIPIENTS: "bad-recipients", Error, "A recipients file that cannot be used",
        "write it with: bulla recipients --update";
    UNTRUSTED_RECIPIENT: "untrusted-recipient", Error, "A committed recipient that --trust or --trust-rev does not name",
        "find out who added it: whoever holds its key can read what is sealed to it";
    UNKNOWN_KEY: "unknown-key", Error, "Sealed to a key that no recipients file names",
        "find out whose key it is; one that is meant stands in a recipients file: where the check takes these from, with --trust or --trust-rev";
    WRONG_TARGET: "wrong-target", Error, "Sealed to a target that is not for this path",
        "seal the value again for the targets of the rule";
    MISSING_TARGET: "missing-target", Error, "Not sealed to a target of this path",
        "seal the value again, or add the target offline: bulla rewrap -i KEY FILE";
    MISSING_RECOVERY: "missing-recovery", Warning, "Not sealed to the recovery key",
        "seal the value again, or add the recovery key offline: bulla rewrap -i KEY FILE";
    STALE_KEY: "stale-key", Warning, "Not under the newest key of its target",
        "see that the key is the target's own (bulla keys list), then: bulla rewrap FILE";
    RETIRED_KEY: "retired-key", Error, "Under a key that was retired: it does not open any more",
        "seal the value again, or rewrap it with a backup of the key: bulla rewrap -i KEY FILE";
    COMPROMISED_KEY: "compromised-key", Error, "Under a key that is in other hands",
        "change the value where it is used, then: bulla set FILE ITEM; rewrapping does not help";

    DUPLICATE_OBJECT: "duplicate-object", Error, "The same object is there twice",
        "remove one: which of them is applied last is chance";
    UNRESOLVED_ITEM: "unresolved-item", Warning, "A workload asks for an item that its Secret does not have",
        "correct the name of the item, or add it: bulla set FILE ITEM";
    UNRESOLVED_REF: "unresolved-ref", Note, "A workload asks for a Secret that nothing here provides",
        "correct the name, or see that something outside these files makes it";

    ALLOW_WITHOUT_REASON: "allow-without-reason", Warning, "A comment allows a finding without saying why",
        "say why, behind the name of the rule";
    UNUSED_ALLOW: "unused-allow", Note, "A comment allows a finding that is not there",
        "remove it, so that it does not hide the next one";
    NEW_ALLOW: "new-allow", Warning, "A comment that allows a finding is new",
        "see whether its reason holds";
    CHANGED_RULES: "changed-rules", Warning, "The configuration of this check has changed",
        "review it with care; check --trust-rev REV takes that of the target branch";
    CHANGED_RECIPIENTS: "changed-recipients", Warning, "The keys that values are sealed to have changed",
        "compare the fingerprint with bulla keys list, or with whoever holds the key";
}

/// Rules about who can read a value. With `--trust` nothing that stands in the repository turns them off.
#[must_use]
pub fn is_guarded(rule: &Rule) -> bool {
    [
        PLAINTEXT_SECRET,
        PLAINTEXT_GENERATOR,
        AGE_IDENTITY,
        PRIVATE_KEY,
        ENCRYPTED_PRIVATE_KEY,
        TOO_LARGE,
        NOT_TEXT,
        LFS_POINTER,
        NOT_YAML,
        FOREIGN_LINE_BREAK,
        FOREIGN_DOCUMENT,
        DUPLICATE_KEY,
        AMBIGUOUS_SECRET,
        MALFORMED_OBJECT,
        MALFORMED_VALUE,
        BAD_RECIPIENTS,
        UNTRUSTED_RECIPIENT,
        UNKNOWN_KEY,
        WRONG_TARGET,
        MISSING_TARGET,
        MISSING_RECOVERY,
        COMPROMISED_KEY,
    ]
    .contains(&rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCS: &str = include_str!("../../../docs/rules.md");

    #[test]
    fn docs_and_code_agree() {
        let documented: Vec<(&str, &str)> = DOCS
            .split("\n### `")
            .skip(1)
            .map(|section| {
                let (id, rest) = section.split_once("`\n\n").expect("a heading");
                (id, rest.lines().next().expect("a first line"))
            })
            .collect();
        let known: Vec<_> = ALL.iter().map(|rule| (rule.id, format!("**{}** · {}.", rule.severity, rule.title))).collect();
        let known: Vec<_> = known.iter().map(|(id, line)| (*id, line.as_str())).collect();
        assert_eq!(documented, known);
    }

    #[test]
    fn ids_are_different_words() {
        for (index, rule) in ALL.iter().enumerate() {
            assert!(
                rule.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
                "{}",
                rule.id
            );
            assert!(ALL[..index].iter().all(|other| other.id != rule.id), "{}", rule.id);
            assert_eq!(Rule::named(rule.id), Some(rule));
        }
    }
}
