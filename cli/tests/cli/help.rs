//! Help of every command, the version, man pages, and command lines that do not parse.

use clap::CommandFactory as _;

use super::harness::World;

fn commands() -> Vec<String> {
    let command = bulla_cli::commands::Cli::command();
    command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect()
}

#[test]
fn help_of_every_command() {
    let world = World::new();
    world.bulla(&["--help"]).succeeds("help");
    for command in commands() {
        world.bulla(&[&command, "--help"]).succeeds(&format!("help_{command}"));
    }
    let command = bulla_cli::commands::Cli::command();
    for group in ["git", "keys"] {
        for sub in command.find_subcommand(group).unwrap().get_subcommands() {
            world.bulla(&[group, sub.get_name(), "--help"]).succeeds(&format!("help_{group}_{}", sub.get_name()));
        }
    }
}

#[test]
fn help_is_wrapped_where_it_is_shown_and_nowhere_else() {
    fn lines(command: &clap::Command) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for paragraph in help.split("\n\n").map(|text| text.strip_prefix("Examples:\n").unwrap_or(text)) {
            let examples = paragraph.starts_with("  ");
            assert!(examples || !paragraph.contains('\n'), "{}: {paragraph}", command.get_name());
            let fits = |line: &str| line.starts_with("  ") && line.chars().count() <= 100;
            assert!(!examples || paragraph.lines().all(fits), "{}: {paragraph}", command.get_name());
        }
        command.get_subcommands().for_each(lines);
    }
    lines(&bulla_cli::commands::Cli::command());
}

#[test]
fn version() {
    World::new().bulla(&["--version"]).succeeds("version");
}

#[test]
fn command_lines_that_do_not_parse() {
    let world = World::new();
    world.write("secret.yaml", super::harness::SECRET);
    let outcome = world.bulla(&["sael", "secret.yaml"]).in_the_parsers_words().fails(2, "usage_unknown_command");
    assert!(outcome.stderr.contains("'seal'"));
    world.bulla(&["seal", "--recipeint", "x"]).in_the_parsers_words().fails(2, "usage_unknown_flag");
    world.bulla(&["unseal", "secret.yaml"]).in_the_parsers_words().fails(2, "usage_unseal_without_identity");
    world.bulla(&["inspect"]).in_the_parsers_words().fails(2, "usage_inspect_without_path");
    world.bulla(&["seal", "--scope", "pod"]).in_the_parsers_words().fails(2, "usage_unknown_scope");
    world.bulla(&["seal", "--rotate-after", "0d"]).in_the_parsers_words().fails(2, "usage_rotate_after_nothing");
    world.bulla(&["seal", "--in-place"]).in_the_parsers_words().fails(2, "usage_in_place_without_file");
    world.bulla(&["seal", "--in-place", "-o", "x", "secret.yaml"]).in_the_parsers_words().fails(2, "usage_in_place_with_output");
    world
        .bulla(&["seal", "--context", "c", "-R", "hybrid.recipients"])
        .in_the_parsers_words()
        .fails(2, "usage_context_with_recipients");
    world
        .bulla(&["keygen", "-y", "hybrid.key", "--algorithm", "x25519"])
        .in_the_parsers_words()
        .fails(2, "usage_keygen_public_half_of_a_kind");
    world.bulla(&["completions", "tcsh"]).in_the_parsers_words().fails(2, "usage_unknown_shell");
}

#[test]
fn without_a_command_there_is_help() {
    let outcome = World::new().bulla(&[]).exits(2);
    assert!(outcome.stderr.contains("Usage: bulla <COMMAND>"), "{}", outcome.stderr);
}

#[test]
fn the_man_page_lists_every_command_and_each_has_a_page() {
    let world = World::new();
    let page = world.bulla(&["man"]).works();
    world.write("man/.keep", "");
    world.bulla(&["man", "-o", "man"]).works();
    assert_eq!(world.read("man/bulla.1"), page.text());
    for command in commands() {
        assert!(page.text().contains(&format!("bulla\\-{command}(1)")), "{command}");
        let page = world.read(&format!("man/bulla-{command}.1"));
        assert!(page.contains(&format!(".TH bulla-{command} 1")) && page.contains(".SH SYNOPSIS"), "{page}");
    }
}

#[test]
fn man_needs_its_folder() {
    World::new().bulla(&["man", "-o", "missing"]).fails(74, "man_missing_folder");
}

/// Also the argument parser does not repeat a key that stands where none belongs.
#[test]
fn an_identity_that_does_not_parse_is_not_repeated() {
    let world = World::new();
    let identity = super::harness::Keys::get().identity("hybrid");
    for args in [&["keygen", identity.as_str()][..], &["seal", "--scope", &identity], &["completions", &identity], &[&identity]] {
        world.bulla(args).in_the_parsers_words().refused(2);
    }
}

/// kubectl runs what is called `kubectl-bulla` for `kubectl bulla`; a link is enough.
#[test]
fn as_a_plugin_of_kubectl() {
    let world = World::new();
    std::os::unix::fs::symlink(super::harness::BULLA, world.path("kubectl-bulla")).unwrap();
    let mut plugin = std::process::Command::new(world.path("kubectl-bulla"));
    let output = plugin.args(["keygen", "-y", "hybrid.key"]).current_dir(world.path("")).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), world.read("hybrid.recipients"));
}
