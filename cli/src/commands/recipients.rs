//! `bulla recipients`: the committed public keys of a target beside those of its cluster.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use bulla_keys::select::newest_active;
use bulla_shared::age::{Algorithm, Fingerprint, Recipient};
use bulla_shared::recipients::{OldKey, OldKeyState, RecipientsFile};
use bulla_shared::resources::sealing_key::{KeyState, SealingKey, SealingKeyStatus};
use jiff::Timestamp;

use super::completions;
use crate::cluster::{CONTEXT, Cluster, ContextArgs};
use crate::config::Config;
use crate::error::{Error, Kind, note};
use crate::files::{self, Access};
use crate::keys;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bulla recipients --context prod > prod.recipients   the keys of a cluster, for a new file\n  \
    bulla recipients                                    exit code 1 if a committed file differs\n  \
    bulla recipients prod --update                      write the file of this target\n\n\
    Compare fingerprints with the cluster's admins before you commit a changed file: whoever owns a key in it reads what is sealed next."
)]
pub struct Args {
    /// Target of .bulla.yaml [default: all that have a file and a context]
    #[arg(add = completions::targets())]
    target: Option<String>,
    /// Write the committed files as the clusters are
    #[arg(long)]
    update: bool,
    #[command(flatten)]
    context: ContextArgs,
}

pub(super) fn run(args: &Args) -> Result<(), Error> {
    let Some(config) = Config::here()?.filter(Config::has_targets) else {
        if args.target.is_some() || args.update {
            return Err(Config::missing().hint("targets are named there; without it, this prints the recipients of --context"));
        }
        return print(args);
    };
    let names: Vec<String> = match &args.target {
        Some(name) => vec![name.clone()],
        None if args.context.context.is_some() => return print(args),
        None => config.targets().map(str::to_owned).collect(),
    };
    let (mut compared, mut differ, mut lacking) = (0, Vec::new(), Vec::new());
    for name in names {
        let path = config.recipients_path(&name)?;
        let context = args.context.context.clone().or(config.context(&name)?);
        let (Some(path), Some(context)) = (path, context) else {
            if args.target.is_some() {
                let (lacks, hint) = if config.recipients_path(&name)?.is_some() {
                    (
                        "context of a cluster to compare its file with",
                        "give it context: NAME in .bulla.yaml, or name one with --context",
                    )
                } else {
                    ("recipients file to compare with its cluster", "give it recipients: FILE in .bulla.yaml")
                };
                return Err(Error::new(Kind::Configuration, format!("target {name} has no {lacks}")).hint(hint));
            }
            lacking.push(name);
            continue;
        };
        compared += 1;
        if !compare(&name, &path, &context, args.update)? {
            differ.push(name);
        }
    }
    if compared == 0 {
        return Err(Error::new(Kind::Configuration, format!("no target has both a file and a context: {}", lacking.join(", ")))
            .hint("give a target both in .bulla.yaml: recipients: FILE, and context: NAME of your kubeconfig (kubectl config get-contexts)"));
    }
    if differ.is_empty() {
        return Ok(());
    }
    Err(Error::new(Kind::Findings, format!("the committed recipients are not those of the cluster: {}", differ.join(", ")))
        .hint("compare the fingerprints with the cluster's admins, then: bulla recipients --update"))
}

fn print(args: &Args) -> Result<(), Error> {
    let (context, text) = published(args.context.context.as_deref())?;
    note(format!("recipients of context {context}"));
    files::write(None, text.as_bytes(), Access::Default)
}

/// The context asked, and a new recipients file of what it publishes.
pub(super) fn published(context: Option<&str>) -> Result<(String, String), Error> {
    let cluster = Cluster::connect(context, CONTEXT)?;
    let text = Published::of(&cluster)?.edit("");
    Ok((cluster.context, text))
}

/// Whether the file is as the cluster is, after it was written if that was asked for.
fn compare(name: &str, path: &Path, context: &str, update: bool) -> Result<bool, Error> {
    let cluster = Cluster::connect(Some(context), CONTEXT)?;
    let published = Published::of(&cluster)?;
    let missing = !path.exists();
    let (text, file) = if missing { (String::new(), RecipientsFile::default()) } else { keys::recipients_text(path)? };
    let wanted = published.edit(&text);
    if wanted == text {
        note(format!("{name}: as in context {context}"));
        return Ok(true);
    }
    if published.newest.iter().all(|newest| file.recipients.contains(newest)) {
        note(format!(
            "{name}: the newest key of context {context} is committed; what the file says about others of its keys is not up to date"
        ));
    }
    for recipient in &file.recipients {
        let fingerprint = recipient.fingerprint();
        let state = published.states.get(&fingerprint).map_or("not a key of this cluster".to_owned(), ToString::to_string);
        note(format!("{name}: committed {fingerprint} ({state})"));
    }
    for recipient in &published.newest {
        note(format!("{name}: newest    {} (context {context})", recipient.fingerprint()));
    }
    if !update {
        return Ok(false);
    }
    if missing {
        files::create(path, wanted.as_bytes(), Access::Default)?;
    } else {
        files::replace_if_still(path, text.as_bytes(), wanted.as_bytes())?;
    }
    note(format!("{name}: {} is written", path.display()));
    Ok(true)
}

/// What a cluster publishes.
struct Published {
    newest: Vec<Recipient>,
    states: HashMap<Fingerprint, KeyState>,
    old: Vec<OldKey>,
}

impl Published {
    fn of(cluster: &Cluster) -> Result<Self, Error> {
        let published = Self::by(cluster.settled_keys()?, Timestamp::now());
        if published.newest.is_empty() { Err(cluster.no_active_key()) } else { Ok(published) }
    }

    fn by(mut keys: Vec<SealingKey>, now: Timestamp) -> Self {
        // By age, which a restored cluster has too.
        keys.sort_by_key(|key| key.status.as_ref().map(|status| (status.created.clone(), status.fingerprint.clone())));
        // One kind in one file: hybrid, unless the cluster has none.
        let newest = newest_active(&keys, Algorithm::Hybrid, now).or_else(|| newest_active(&keys, Algorithm::X25519, now));
        let all: Vec<_> = keys.iter().filter_map(state).collect();
        let old = all.iter().filter_map(|(fingerprint, state, since, status)| {
            let since = since.parse().ok();
            let (state, since) = match state {
                // Whoever has the file seals to the newest. Another one opens only, since that is there.
                KeyState::Active => {
                    let newest = newest.as_ref().filter(|newest| newest.recipient.fingerprint() != *fingerprint)?;
                    let created: Timestamp = status.created.as_ref()?.parse().ok()?;
                    (OldKeyState::DecryptOnly, (created <= now).then_some(newest.created))
                }
                KeyState::DecryptOnly => (OldKeyState::DecryptOnly, since),
                KeyState::Retired => (OldKeyState::Retired, since),
                KeyState::Compromised => (OldKeyState::Compromised, since),
            };
            Some(OldKey { fingerprint: *fingerprint, state, since: since? })
        });
        let old = old.collect();
        let states = all.iter().map(|(fingerprint, state, ..)| (*fingerprint, *state)).collect();
        Self { newest: newest.into_iter().map(|key| key.recipient).collect(), old, states }
    }

    /// The text of a recipients file as it should be. Lines about keys of this cluster are replaced; all others stay: other clusters',
    /// recovery keys, comments.
    fn edit(&self, text: &str) -> String {
        let ending = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let mut output = String::with_capacity(text.len() + 4096);
        let mut newest = Some(&self.newest);
        let mut after = 0;
        let own = |line: &str| -> Option<bool> {
            let line = line.trim_start_matches('\u{feff}').trim_ascii();
            if let Some(fingerprint) = line.strip_prefix("# bulla: key=").and_then(|rest| rest.get(..64)) {
                return fingerprint.parse().ok().filter(|fingerprint| self.states.contains_key(fingerprint)).map(|_| false);
            }
            let recipient: Recipient = line.parse().ok()?;
            self.states.contains_key(&recipient.fingerprint()).then_some(true)
        };
        for line in text.split_inclusive('\n') {
            match own(line) {
                // The first line of a key of ours is where the newest stands.
                Some(true) => {
                    if let Some(newest) = newest.take() {
                        push_lines(&mut output, newest, ending);
                    }
                    after = output.len();
                }
                Some(false) => {}
                None => output.push_str(line),
            }
        }
        if let Some(newest) = newest.take() {
            if !output.is_empty() && !output.ends_with('\n') {
                output.push_str(ending);
            }
            push_lines(&mut output, newest, ending);
            after = output.len();
        }
        let mut comments = String::new();
        let committed = text.parse::<RecipientsFile>().unwrap_or_default().old;
        for old in &self.old {
            // Since when a key only opens is what the file says already: a restored cluster has forgotten it.
            let known = committed.iter().find(|known| known.fingerprint == old.fingerprint && known.state == old.state);
            let kept = known.filter(|_| old.state != OldKeyState::Compromised);
            push_lines(&mut comments, &[kept.unwrap_or(old)], ending);
        }
        output.insert_str(after, &comments);
        output
    }
}

fn push_lines(output: &mut String, lines: &[impl std::fmt::Display], ending: &str) {
    for line in lines {
        let _ = write!(output, "{line}{ending}");
    }
}

fn state(key: &SealingKey) -> Option<(Fingerprint, KeyState, &String, &SealingKeyStatus)> {
    let status = key.status.as_ref()?;
    let since = status.since.as_ref().or(status.created.as_ref())?;
    Some((key.published()?, status.state?, since, status))
}

#[cfg(test)]
mod tests {
    use bulla_shared::age::Identity;

    use super::*;

    /// After a rotation the older key stays Active until somebody says otherwise.
    #[test]
    fn older_keys_are_told_whatever_state_they_are_in() {
        let key = |algorithm, state: &str, created: &str| {
            let recipient = Identity::generate(algorithm).recipient().clone();
            let status = serde_json::json!({
                "state": state, "created": created, "since": created,
                "recipient": recipient.to_string(), "fingerprint": recipient.fingerprint().to_string(),
            });
            let key = serde_json::json!({"metadata": {}, "spec": {}, "status": status});
            (recipient, serde_json::from_value::<SealingKey>(key).unwrap())
        };
        let keys = [
            key(Algorithm::Hybrid, "Retired", "2026-11-01T00:00:00Z"),
            key(Algorithm::Hybrid, "Active", "2026-11-02T00:00:00Z"),
            key(Algorithm::X25519, "Active", "2026-11-03T00:00:00Z"),
            key(Algorithm::Hybrid, "Active", "2026-11-04T00:00:00Z"),
            key(Algorithm::Hybrid, "Active", "2026-11-09T00:00:00Z"),
        ];
        let line = |index: usize, state: &str, since: &str| {
            format!("# bulla: key={} state={state} since={since}\n", keys[index].0.fingerprint())
        };
        let [retired, older] = [line(0, "Retired", "2026-11-01T00:00:00Z"), line(1, "DecryptOnly", "2026-11-04T00:00:00Z")];
        let other_kind = line(2, "DecryptOnly", "2026-11-04T00:00:00Z");
        let newest = &keys[3].0;
        // The last one is of tomorrow, as this clock has it.
        let published = keys.iter().rev().map(|(_, key)| key.clone()).collect();
        let text = Published::by(published, "2026-11-08T00:00:00Z".parse().unwrap()).edit("");
        assert_eq!(text, format!("{newest}\n{retired}{older}{other_kind}"));
    }

    #[test]
    fn lines_of_this_cluster_are_replaced_and_others_stay() {
        let [old, new, other] = std::array::from_fn(|_| Identity::generate(Algorithm::X25519).recipient().clone());
        let since = "2026-11-23T06:50:00Z".to_owned();
        let published = Published {
            newest: vec![new.clone()],
            states: [(old.fingerprint(), KeyState::DecryptOnly), (new.fingerprint(), KeyState::Active)].into(),
            old: vec![OldKey { fingerprint: old.fingerprint(), state: OldKeyState::DecryptOnly, since: since.parse().unwrap() }],
        };
        let comment = format!("# bulla: key={} state=DecryptOnly since={since}", old.fingerprint());
        assert_eq!(published.edit(""), format!("{new}\n{comment}\n"));
        let before = format!("# prod\n{old}\n\n# another cluster\n{other}\n");
        let after = format!("# prod\n{new}\n{comment}\n\n# another cluster\n{other}\n");
        assert_eq!(published.edit(&before), after);
        assert_eq!(published.edit(&after), after, "nothing to write when nothing changed");
        let earlier = after.replace("2026-11-23T06:50:00Z", "2025-01-01T00:00:00Z");
        assert_eq!(published.edit(&earlier), earlier, "the file knows it longer");
        assert_eq!(published.edit(&before.replace('\n', "\r\n")), after.replace('\n', "\r\n"));
        assert_eq!(published.edit(&other.to_string()), format!("{other}\n{new}\n{comment}\n"));
        assert!(after.parse::<RecipientsFile>().is_ok());
    }
}
