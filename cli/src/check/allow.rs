//! `# bulla:allow RULE reason` beside what is found, on the lines above it, or above the object that it is in.

use std::collections::HashSet;
use std::ops::Range;

use super::finding::{Finding, Sheet, Show};
use super::rule::{ALLOW_WITHOUT_REASON, NEW_ALLOW, Rule, UNUSED_ALLOW};

/// How such a comment begins.
pub const MARK: &str = "bulla:allow";

/// Most comments of one file that are read.
const MOST: usize = 1000;

/// A comment that allows.
#[derive(Debug)]
struct Comment {
    rule: String,
    has_reason: bool,
    at: usize,
    /// First and last line that it speaks for: its own, and those down to the first that is more than a comment.
    lines: (usize, usize),
}

/// Takes out of the findings of a file what its comments allow, but for `guarded` ones, and reports comments that say nothing.
pub fn apply(sheet: &mut Sheet<'_>, guarded: impl Fn(&Rule) -> bool) {
    let comments = comments(sheet);
    if comments.is_empty() {
        return;
    }
    let mut used = vec![false; comments.len()];
    let mut kept = Vec::new();
    for finding in std::mem::take(&mut sheet.findings) {
        let covers = |comment: &Comment| {
            let speaks_for = |line| (comment.lines.0..=comment.lines.1).contains(&line);
            comment.rule == finding.rule.id && (speaks_for(finding.line) || finding.object_line.is_some_and(speaks_for))
        };
        match comments.iter().position(covers) {
            Some(index) => {
                used[index] = true;
                if !comments[index].has_reason || guarded(finding.rule) {
                    kept.push(finding);
                }
            }
            None => kept.push(finding),
        }
    }
    sheet.findings = kept;
    sheet.object = None;
    for (comment, used) in comments.iter().zip(used) {
        let span = comment.at..comment.at + MARK.len();
        if Rule::named(&comment.rule).is_none() {
            sheet.report(
                UNUSED_ALLOW,
                span,
                &Show::Span,
                &comment.rule,
                "there is no rule of this name; docs/rules.md lists them",
            );
        } else if !comment.has_reason {
            let message = format!("{} is allowed without a reason, and so is not", comment.rule);
            sheet.report(ALLOW_WITHOUT_REASON, span, &Show::Span, &comment.rule, message);
        } else if !used {
            sheet.report(UNUSED_ALLOW, span, &Show::Span, &comment.rule, format!("there is no {} here", comment.rule));
        }
    }
}

/// Reports comments that stand on no line of the earlier text.
pub fn report_new(sheet: &mut Sheet<'_>, before: &str) {
    let known: HashSet<&str> = before.lines().filter(|line| line.contains(MARK)).map(str::trim).collect();
    for comment in comments(sheet) {
        let line = &sheet.text()[sheet.line_span(comment.lines.0)];
        if !known.contains(line.trim()) {
            let message = format!("{} is allowed here from now on", comment.rule);
            sheet.report(NEW_ALLOW, comment.at..comment.at + MARK.len(), &Show::Span, &comment.rule, message);
        }
    }
}

fn comments(sheet: &Sheet<'_>) -> Vec<Comment> {
    let text = sheet.text();
    let mut comments: Vec<Comment> = Vec::new();
    for (at, _) in text.match_indices(MARK).take(MOST) {
        let line = sheet.line(at);
        let Range { start, end } = sheet.line_span(line);
        let before = text[start..at].trim_end();
        if !before.ends_with('#') && !before.ends_with("//") {
            continue;
        }
        let content = &text[at + MARK.len()..end];
        let (rule, reason) = content.trim().split_once(char::is_whitespace).unwrap_or((content.trim(), ""));
        let alone = before.trim_end_matches(['#', '/']).trim().is_empty();
        let below =
            || text[start..].lines().skip(1).take_while(|line| line.trim_start().starts_with('#') || line.trim() == "---");
        let last = match comments.last() {
            _ if !alone => line,
            // Within a run of comments that was counted already.
            Some(Comment { lines: (_, last), .. }) if line < *last => *last,
            _ => line + 1 + below().count(),
        };
        let rule = super::finding::harmless(rule);
        comments.push(Comment { rule, has_reason: reason.chars().any(char::is_alphanumeric), at, lines: (line, last) });
    }
    comments
}

/// Whether a finding is one that `.bulla.yaml` allows.
#[must_use]
pub fn is_allowed(finding: &Finding, allowed: &[(&'static Rule, globset::GlobMatcher)], folder: &std::path::Path) -> bool {
    let inside = finding.file.path.as_deref().and_then(|path| path.strip_prefix(folder).ok());
    inside.is_some_and(|path| allowed.iter().any(|(rule, glob)| *rule == finding.rule && glob.is_match(path)))
}
