//! `bulla exec` around commands of every kind, most of them before a real terminal: what it passes on, and what it leaves behind.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::canary::{self, CANARY};
use super::exec::{BOTH, world};
use super::harness::{BULLA, World};
use super::pty::Terminal;

impl Terminal {
    /// Starts `bulla exec` around a shell script.
    fn exec(world: &World, script: &str) -> Self {
        world.write("child.sh", script);
        let program = [&[BULLA, "exec", "-i", "hybrid.key"], &BOTH[..], &["prod/db=sealed.yaml", "--", "/bin/sh", "child.sh"]];
        Self::start(world, &program.concat())
    }
}

/// How it ends by itself, which it has ten seconds for.
fn end_of(child: &mut Child) -> ExitStatus {
    for _ in 0..1000 {
        thread::sleep(Duration::from_millis(10));
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
    }
    child.kill().unwrap();
    panic!("it goes on, or does not go on at all");
}

#[test]
fn exit_codes() {
    let world = world();
    for (script, code) in
        [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -TERM $$", 143), ("kill -KILL $$", 137), ("kill -SEGV $$", 139)]
    {
        assert_eq!(Terminal::exec(&world, script).end(), (Some(code), String::new()), "{script}");
    }
}

#[test]
fn the_command_reads_the_terminal() {
    let world = world();
    let script =
        "test -t 0 && printf 'name? '; read -r name; echo \"hello $name\"; read -r again < /dev/tty; echo \"and $again\"";
    let mut terminal = Terminal::exec(&world, script);
    terminal.expect("name? ").send("bob\n").expect("hello bob").send("eve\n");
    let (code, text) = terminal.end();
    assert!(code == Some(0) && text.ends_with("and eve\n"), "{text}");
}

/// The prompt is no beginning of a secret, the answer is one.
#[test]
fn a_prompt_is_seen_before_it_is_answered() {
    let world = world();
    let mut terminal =
        Terminal::exec(&world, "stty -echo; printf 'Password: '; read -r given; echo; test \"$given\" = \"$PASSWORD\"");
    terminal.expect("Password: ").send(&format!("{CANARY}\n"));
    assert_eq!(terminal.end(), (Some(0), "Password: \n".to_owned()));
}

#[test]
fn secrets_are_found_however_they_are_printed() {
    let world = world();
    for (script, wanted) in [
        ("printf 'it is %s' \"${PASSWORD%???????}\"; sleep 0.05; printf '%s.' \"${PASSWORD#??????????}\"", "it is ***."),
        ("for c in b u l l a - c a n a r y - 7 f 3 a; do printf $c; done; echo !", "***!\n"),
        ("printf '{\"password\":\"%s\",\"n\":1}\\n' \"$PASSWORD\"", "{\"password\":\"***\",\"n\":1}\n"),
        ("printf %s \"$PASSWORD\" | base64", "***\n"),
        ("set -x; : \"$PASSWORD\"", "+ : ***\n"),
        (
            "printf 'Error: login failed for %s:%s\\n\\tat connect(db.c:7)\\n' \"$USER\" \"$PASSWORD\" >&2; exit 0",
            "Error: login failed for ***:***\n\tat connect(db.c:7)\n",
        ),
        ("env | grep PASSWORD", "PASSWORD=***\n"),
        ("printf '%s\\n' \"$PASSWORD\" | sed 's/^/> /'", "> ***\n"),
    ] {
        assert_eq!(Terminal::exec(&world, script).end(), (Some(0), wanted.to_owned()), "{script}");
    }
    for prefix in ["", "a", "ab"] {
        let (code, text) = Terminal::exec(&world, &format!("printf '{prefix}%s:x' \"$PASSWORD\" | base64")).end();
        assert!(code == Some(0) && text.contains("***"), "{text}");
    }
}

#[test]
fn half_a_character_passes() {
    let world = world();
    let args =
        ["exec", "-i", "hybrid.key", "--only", "password", "prod/db=sealed.yaml", "--", "/bin/sh", "-c", "printf 'a\\303'"];
    assert_eq!(world.bulla(&args).works().stdout, b"a\xc3");
    let (_, text) = Terminal::exec(&world, "printf 'a\\303'; sleep 0.05; printf '\\251!'").end();
    assert_eq!(text, "aé!");
}

/// Ctrl-C goes to the whole group: the command gets it once, and decides what it means.
#[test]
fn ctrl_c_is_the_commands() {
    let world = world();
    let mut terminal = Terminal::exec(&world, "trap 'echo interrupted' INT; echo ready; read -r a; read -r b; exit 9");
    terminal.expect("ready").send("\u{3}").expect("interrupted").send("a\nb\n");
    let (code, text) = terminal.end();
    assert_eq!((code, text.matches("interrupted").count()), (Some(9), 1), "{text}");
    let mut terminal = Terminal::exec(&world, "echo ready; exec sleep 600");
    terminal.expect("ready").send("\u{3}");
    assert_eq!(terminal.end().0, Some(130));
}

/// A shell stops and continues both.
#[test]
fn job_control() {
    let world = world();
    world.write("child.sh", "echo ready; read -r line; echo \"got $line\"; exit 5");
    world.write(
        "shell.sh",
        "set -m; \"$BULLA\" exec -i hybrid.key --only password prod/db=sealed.yaml -- /bin/sh child.sh; echo \"first $?\"; fg; echo \"second $?\"",
    );
    let mut terminal = Terminal::start(&world, &["bash", "--norc", "shell.sh"]);
    terminal.expect("ready").send("\u{1a}").expect("first 148").send("line\n").expect("second 5");
    assert!(terminal.end().1.contains("got line"));
    // It stops itself alone: then we stop too, for the shell to see.
    world.write("child.sh", "kill -STOP $$; exit 6");
    let mut terminal = Terminal::start(&world, &["bash", "--norc", "shell.sh"]);
    terminal.expect("first 147").expect("second 6");
    terminal.end();
}

/// Without a terminal no shell is there to continue us: whoever continues the command need not know of us.
#[test]
fn a_command_that_is_stopped_without_a_terminal() {
    let world = world();
    world.write("child.sh", "echo $$; kill -STOP $$; exit 6");
    let args = ["exec", "-i", "hybrid.key", "--only", "password", "prod/db=sealed.yaml", "--", "/bin/sh", "child.sh"];
    let mut command = Command::new("setsid");
    command.arg(BULLA).args(args).current_dir(world.path("")).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pid = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut pid).unwrap();
    let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    // Long enough for us to have stopped as well.
    thread::sleep(Duration::from_millis(500));
    kill_process(pid, Signal::CONT).unwrap();
    assert_eq!(end_of(&mut child).code(), Some(6));
}

/// Whatever we lack is lacking before the command starts: then it is not started, or it runs to its end.
#[test]
fn few_descriptors() {
    let world = world();
    let mut seen = [false; 2];
    for limit in 5..16 {
        let script = format!(
            "ulimit -n {limit}; exec '{BULLA}' exec -i hybrid.key --only password prod/db=sealed.yaml -- /bin/sh -c 'touch started'"
        );
        let output = Command::new("/bin/sh").args(["-c", &script]).current_dir(world.path("")).output().unwrap();
        let started = world.path("started").exists();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(if started { 0 } else { 125 }), "{limit}: {stderr}");
        assert!(started || stderr.contains("error: "), "{limit}: {stderr}");
        seen[usize::from(started)] = true;
        let _ = fs::remove_file(world.path("started"));
    }
    assert_eq!(seen, [true; 2]);
}

/// `bulla exec` with pipes, around a script that says when it is ready.
fn piped(world: &World, script: &str, flags: &[&str]) -> Child {
    let mut command = Command::new(BULLA);
    command.args(["exec", "-i", "hybrid.key", "--only", "password"]).args(flags).args([
        "prod/db=sealed.yaml",
        "--",
        "/bin/sh",
        "-c",
        script,
    ]);
    command.current_dir(world.path("")).env_remove("USER").env("HOME", world.path("")).env("TMPDIR", world.path(""));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn wait_for(child: &mut Child, word: &str) {
    let mut seen = Vec::new();
    let stdout = child.stdout.as_mut().unwrap();
    while !String::from_utf8_lossy(&seen).contains(word) {
        let mut byte = [0];
        assert_eq!(stdout.read(&mut byte).unwrap(), 1, "{word} does not come");
        seen.push(byte[0]);
    }
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn signals_are_passed_on() {
    let world = world();
    for (name, number) in
        [("TERM", Signal::TERM), ("INT", Signal::INT), ("HUP", Signal::HUP), ("QUIT", Signal::QUIT), ("USR1", Signal::USR1)]
    {
        let mut child = piped(&world, &format!("trap 'echo got; exit 7' {name}; echo ready; while :; do sleep 0.01; done"), &[]);
        wait_for(&mut child, "ready");
        signal(&child, number);
        wait_for(&mut child, "got");
        assert_eq!(child.wait().unwrap().code(), Some(7), "{name}");
    }
    let mut child = piped(&world, "trap '' TERM; echo ready; read -r line; exit 6", &[]);
    wait_for(&mut child, "ready");
    signal(&child, Signal::TERM);
    child.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(6), "the command ignores it, and so do we");
}

/// As with `nohup`.
#[test]
fn what_was_ignored_stays_ignored() {
    let world = world();
    let script = "trap '' HUP; exec \"$BULLA\" exec -i hybrid.key --only password prod/db=sealed.yaml -- /bin/sh -c 'kill -HUP $$; kill -HUP $PPID; exit 4'";
    let status =
        Command::new("/bin/sh").args(["-c", script]).current_dir(world.path("")).env_remove("USER").env("BULLA", BULLA).status();
    assert_eq!(status.unwrap().code(), Some(4));
}

/// A process that the command leaves behind holds its output open; nobody waits for it.
#[test]
fn what_is_left_behind_is_not_waited_for() {
    let world = world();
    let args = [
        "exec",
        "-i",
        "hybrid.key",
        "--only",
        "password",
        "prod/db=sealed.yaml",
        "--",
        "/bin/sh",
        "-c",
        "sleep 600 & echo $! > pid; echo \"early $PASSWORD\"; exit 4",
    ];
    let outcome = world.bulla(&args).partly().exits(4);
    assert_eq!(outcome.text(), "early ***\n");
    let pid = Pid::from_raw(world.read("pid").trim().parse().unwrap()).unwrap();
    kill_process(pid, Signal::KILL).expect("it is still there");
}

#[test]
fn a_command_that_closes_its_output() {
    let world = world();
    assert_eq!(Terminal::exec(&world, "exec >&- 2>&-; sleep 0.05; exit 5").end(), (Some(5), String::new()));
}

/// As a pipe without us: whoever writes to nobody is ended by SIGPIPE.
#[test]
fn output_that_nobody_reads() {
    let world = world();
    let mut child = piped(&world, "echo ready; while :; do echo more || exit 9; done", &[]);
    wait_for(&mut child, "ready");
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(141));
}

#[test]
fn much_output_is_complete() {
    const HALF: usize = 512 << 20;
    let world = world();
    let script = format!("head -c {HALF} /dev/zero | tr '\\0' b; printf '%s' \"$PASSWORD\"; head -c {HALF} /dev/zero");
    let mut child = piped(&world, &script, &[]);
    let mut stdout = child.stdout.take().unwrap();
    let mut chunk = vec![0; 1 << 20];
    for (byte, length) in [(b'b', HALF), (b'*', 3), (0, HALF)] {
        let wanted = vec![byte; chunk.len()];
        for at in (0..length).step_by(chunk.len()) {
            let part = chunk.len().min(length - at);
            stdout.read_exact(&mut chunk[..part]).unwrap();
            assert!(chunk[..part] == wanted[..part], "{at} bytes after the first {byte}");
        }
    }
    assert_eq!((stdout.read(&mut chunk).unwrap(), child.wait().unwrap().code()), (0, Some(0)));
}

/// Every signal that ends a process and can be caught, but for those that tell of a fault in it.
#[cfg(target_os = "linux")]
pub(crate) const EVERY_END: &[&str] = &[
    "TERM", "INT", "HUP", "QUIT", "TRAP", "ABRT", "USR1", "USR2", "ALRM", "STKFLT", "XCPU", "XFSZ", "VTALRM", "PROF", "IO",
    "PWR", "SYS", "RTMIN", "RTMAX",
];
#[cfg(not(target_os = "linux"))]
pub(crate) const EVERY_END: &[&str] =
    &["TERM", "INT", "HUP", "QUIT", "TRAP", "ABRT", "USR1", "USR2", "ALRM", "XCPU", "XFSZ", "VTALRM", "PROF", "IO", "SYS"];

/// Also one that has read no line before it is killed. Memory is looked at after every other end.
#[test]
fn files_go_whatever_ends_us() {
    let world = world();
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let flags = ["--as-files", "--files-in", memory.path().to_str().unwrap()];
    for name in EVERY_END {
        let mut child = piped(&world, "test -s \"$PASSWORD_FILE\" && echo ready; exec sleep 600", &flags);
        wait_for(&mut child, "ready");
        assert_eq!(fs::read_dir(memory.path()).unwrap().count(), 1);
        let kill = Command::new("bash").args(["-c", &format!("kill -{name} {}", child.id())]).status();
        assert!(kill.unwrap().success(), "{name}");
        let number = Command::new("bash").args(["-c", &format!("kill -l {name}")]).output().unwrap().stdout;
        let number: i32 = str::from_utf8(&number).unwrap().trim().parse().unwrap();
        // A real-time signal has no name, so that the command gets SIGTERM.
        let number = if number > 31 { 15 } else { number };
        assert_eq!(child.wait().unwrap().code(), Some(128 + number), "{name}");
        assert_eq!(fs::read_dir(memory.path()).unwrap().count(), 0, "{name}");
        // Also $HOME and $TMPDIR.
        no_plaintext_below(&world.path(""));
    }
}

/// Also before the command is there: as soon as there is a file.
#[test]
fn files_go_also_if_the_command_has_not_started() {
    let world = world();
    world.write("sealed.yaml", super::exec::manifest("hybrid", &[("password", &vec![b'x'; 1 << 20])]));
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let flags = ["--no-redact", "--as-files", "--files-in", memory.path().to_str().unwrap()];
    for _ in 0..10 {
        let mut child = piped(&world, "exec sleep 600", &flags);
        while fs::read_dir(memory.path()).unwrap().next().is_none() {
            assert_eq!(child.try_wait().unwrap(), None, "it ends without a file");
        }
        signal(&child, Signal::TERM);
        assert_eq!(child.wait().unwrap().code(), Some(143));
        assert_eq!(fs::read_dir(memory.path()).unwrap().count(), 0);
    }
}

/// The kernel tells the leader of the session alone that the terminal is gone.
#[test]
fn a_lost_terminal_ends_the_command() {
    let world = world();
    let mut terminal =
        Terminal::exec(&world, "trap 'echo gone > ended; exit 3' HUP; echo ready; for i in $(seq 3000); do sleep 0.01; done");
    terminal.expect("ready");
    let Terminal { master, mut child, .. } = terminal;
    drop(master);
    assert_eq!((end_of(&mut child).code(), world.read("ended").as_str()), (Some(3), "gone\n"));
}

/// SIGKILL at any moment: nothing on the disk, whatever is left in memory.
#[test]
fn a_kill_leaves_nothing_on_a_disk() {
    let world = world();
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let flags = ["--as-files", "--files-in", memory.path().to_str().unwrap()];
    let mut with_files = 0;
    for delay in 0..40 {
        let mut child = piped(&world, "cat \"$PASSWORD_FILE\"; exec sleep 1", &flags);
        thread::sleep(Duration::from_millis(delay));
        signal(&child, Signal::KILL);
        child.wait().unwrap();
        with_files += fs::read_dir(memory.path()).unwrap().count();
        for left in fs::read_dir(memory.path()).unwrap() {
            fs::remove_dir_all(left.unwrap().path()).unwrap();
        }
        no_plaintext_below(&world.path(""));
    }
    assert!(with_files > 0, "no kill came late enough");
}

fn no_plaintext_below(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            no_plaintext_below(&path);
        } else {
            assert_eq!(canary::trace(&fs::read(&path).unwrap()), None, "{}", path.display());
        }
    }
}
