//! `just bench-redact`: the redactor of `bulla exec`: how much goes through beside `cat`, and what it adds to one line.
//!
//! Rounds of ours and of the other alternate, and the median counts, so that whatever else the machine does falls on both.
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]
#![allow(clippy::cast_precision_loss, reason = "figures are rounded")]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use bulla_cli::redact::{MASK, Secrets};
use bulla_shared::age::{Algorithm, Identity};
use bulla_shared::binding::Scope;
use bulla_shared::names::Place;
use bulla_shared::sealed::{Recipients, SealedValue};

const BULLA: &str = env!("CARGO_BIN_EXE_bulla");
/// Bytes of the log that is printed, and how many of its lines have a secret.
const BYTES: usize = 1 << 30;
const SECRET_LINES: usize = 100;
const SECRETS: usize = 50;
const ROUNDS: usize = 5;
/// Lines that go there and back, one after the other.
const LINES: u32 = 5_000;

fn main() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let folder = folder.path();
    let values: Vec<String> =
        (0..SECRETS).map(|number| format!("s3cret/{number:02}-{:016x}+", (number + 1) * 0x9e37_79b9)).collect();
    write_sealed(folder, "sealed", &values);
    write_sealed(folder, "with-lines", &[&values[..], &[pem(), kubeconfig()]].concat());
    let masked = write_log(folder, &values);
    let exec = |file: &str, command: &[&str]| {
        let named = format!("shop/db={file}.yaml");
        let mut exec = Command::new(BULLA);
        exec.args(["exec", "-i", &format!("{file}.key"), "--prefix", "S_", &named, "--"]).args(command).current_dir(folder);
        exec
    };
    let cat = |command: &[&str]| {
        let mut cat = Command::new(command[0]);
        cat.args(&command[1..]).current_dir(folder);
        cat
    };
    println!("| what | ours | cat | ratio | goal |\n| --- | ---: | ---: | ---: | --- |");

    let log = fs::read(folder.join("log")).unwrap();
    let secrets = Secrets::new(values.iter().map(String::as_bytes));
    let mut output = Vec::with_capacity(1 << 20);
    let [library] = alternate([&mut || {
        let mut redactor = secrets.redactor();
        for chunk in log.chunks(64 * 1024) {
            redactor.push(chunk, &mut output);
            black_box(&output);
            output.clear();
        }
    }]);
    println!("| the redactor alone, in memory | {} | | | >= 300 MB/s: {} |", rate(library), met(library <= BYTES as f64 / 300e6));
    drop(log);

    let [ours, theirs] = alternate([
        &mut || assert_eq!(drain(exec("sealed", &["cat", "log"])), masked, "nothing is lost"),
        // As many processes and pipes as with exec.
        &mut || assert_eq!(drain(cat(&["sh", "-c", "cat log | cat"])), BYTES),
    ]);
    let goal = met(ours <= BYTES as f64 / 300e6);
    println!(
        "| 1 GiB of a command's output, {SECRETS} secrets | {} | {} | {:.2} | >= 300 MB/s: {goal} |",
        rate(ours),
        rate(theirs),
        ours / theirs
    );

    for (file, what) in [("sealed", ""), ("with-lines", ", beside a private key and a kubeconfig")] {
        let [ours, theirs] = alternate([&mut || echo(exec(file, &["cat"])), &mut || echo(cat(&["cat"]))]);
        let (ours, theirs) = (ours * 1e6 / f64::from(LINES), theirs * 1e6 / f64::from(LINES));
        let goal = met(ours - theirs < 1000.0);
        println!(
            "| one line there and back{what} | {ours:.0} us | {theirs:.0} us | {:.2} | adds < 1 ms: {goal} |",
            ours / theirs
        );
    }
}

/// Text that looks like base64.
fn base64(length: usize) -> String {
    let characters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    (0..length).map(|at| char::from(characters[at.wrapping_mul(2_654_435_761) >> 7 & 63])).collect()
}

/// As long as an RSA key of 2048 bits.
fn pem() -> String {
    let text = base64(1592);
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN RSA {0}-----\n{1}\n-----END RSA {0}-----\n", "PRIVATE KEY", lines.join("\n"))
}

fn kubeconfig() -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: prod\n  cluster:\n    server: https://10.0.0.1:6443\n    certificate-authority-data: {0}\n\
         contexts:\n- name: prod\n  context: {{cluster: prod, user: ci}}\ncurrent-context: prod\nusers:\n- name: ci\n  user:\n    \
         client-certificate-data: {0}\n    client-key-data: {0}\n",
        base64(1400)
    )
}

/// Seconds of each, the median of some rounds after one that does not count.
fn alternate<const N: usize>(mut each: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut all = [const { Vec::new() }; N];
    for round in 0..=ROUNDS {
        for (run, times) in each.iter_mut().zip(&mut all) {
            let start = Instant::now();
            run();
            if round > 0 {
                times.push(start.elapsed().as_secs_f64());
            }
        }
    }
    all.map(|mut times| {
        times.sort_unstable_by(f64::total_cmp);
        times[times.len() / 2]
    })
}

fn rate(seconds: f64) -> String {
    format!("{:.0} MB/s", BYTES as f64 / 1e6 / seconds)
}

fn met(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

/// How many bytes a command prints.
fn drain(mut command: Command) -> usize {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let (mut buffer, mut total) = (vec![0; 1 << 20], 0);
    loop {
        match stdout.read(&mut buffer).unwrap() {
            0 => break,
            count => total += count,
        }
    }
    assert!(child.wait().unwrap().success());
    total
}

/// Sends lines to a command that sends them back, one after the other.
fn echo(mut command: Command) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let mut line = String::new();
    for _ in 0..LINES {
        input.write_all(b"2026-11-25T07:04:21Z INFO request served status=200 duration=14ms\n").unwrap();
        line.clear();
        output.read_line(&mut line).unwrap();
        assert!(line.ends_with("14ms\n"));
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

fn write_sealed(folder: &Path, file: &str, values: &[String]) {
    let identity = Identity::generate(Algorithm::X25519);
    let recipients = Recipients::new([identity.recipient().clone()]).unwrap();
    let mut manifest =
        "apiVersion: bulla.dev/v1alpha1\nkind: SealedSecret\nmetadata: {name: db, namespace: shop}\nspec:\n  encryptedData:\n"
            .to_owned();
    for (number, value) in values.iter().enumerate() {
        let item = format!("item-{number}");
        let place = Place { namespace: "shop".parse().unwrap(), name: "db".parse().unwrap(), item: item.parse().unwrap() };
        let sealed =
            SealedValue::seal(value.as_bytes(), Scope::Strict(place), &recipients, "2020-01-02T03:04:05Z".parse().unwrap(), None);
        writeln!(manifest, "    {item}: {}", sealed.unwrap()).unwrap();
    }
    fs::write(folder.join(format!("{file}.yaml")), manifest).unwrap();
    fs::write(folder.join(format!("{file}.key")), identity.to_text().as_bytes()).unwrap();
}

/// Writes a log of ordinary lines, some of which have a secret; gives how long it is redacted.
fn write_log(folder: &Path, values: &[String]) -> usize {
    let mut log = String::with_capacity(BYTES + 256);
    let mut masked = BYTES;
    let (mut lines, mut secrets) = (0_u64, 0);
    while log.len() < BYTES - 256 {
        lines += 1;
        write!(
            log,
            "2026-11-25T07:04:{:02}.{:03}Z INFO  server: GET /api/v1/items/{lines:x}?page={} 200 {}us",
            lines % 60,
            lines % 1000,
            lines % 17,
            lines % 9973
        )
        .unwrap();
        if secrets < SECRET_LINES && lines % 1000 == 0 {
            let value = &values[secrets % values.len()];
            log += " token=";
            log += value;
            masked -= value.len() - MASK.len();
            secrets += 1;
        }
        log.push('\n');
    }
    log.extend(std::iter::repeat_n('.', BYTES - log.len()));
    File::create(folder.join("log")).unwrap().write_all(log.as_bytes()).unwrap();
    assert_eq!(secrets, SECRET_LINES);
    masked
}
