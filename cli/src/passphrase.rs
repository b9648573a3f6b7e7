//! Passphrases: from a file, or asked for without showing them. Never from the command line.

use std::path::PathBuf;
#[cfg(unix)]
use std::{
    fs::File,
    io::{self, Write as _},
    sync::Arc,
};

#[cfg(unix)]
use rpassword::ConfigBuilder;
#[cfg(unix)]
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::error::{Error, Kind};
use crate::files::Input;
#[cfg(unix)]
use crate::signals::HeldBack;

/// The shortest passphrase that a backup is written under.
const SHORTEST: usize = 12;

/// Where a passphrase comes from.
#[derive(Debug, Clone, clap::Args)]
pub struct PassphraseArgs {
    /// Ask for a passphrase on the terminal
    #[arg(short, long)]
    pub passphrase: bool,
    /// File whose first line is the passphrase
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase")]
    pub passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    /// Whether one is to be used.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.passphrase || self.passphrase_file.is_some()
    }

    /// A passphrase to open with, if one is to be used.
    pub fn read(&self) -> Result<Option<Zeroizing<String>>, Error> {
        if let Some(path) = &self.passphrase_file {
            let input = Input::from_path(path);
            let bytes = input.read("a passphrase")?;
            let line = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
            let text = str::from_utf8(line).ok().filter(|text| !text.is_empty());
            let failed = || Error::new(Kind::Usage, format!("there is no passphrase in {}", input.name()));
            let text = text.ok_or_else(|| failed().hint("its first line has to be the passphrase, as UTF-8"))?;
            return Ok(Some(Zeroizing::new(text.to_owned())));
        }
        if self.passphrase { ask("Passphrase: ").map(Some) } else { Ok(None) }
    }

    /// A new passphrase, if one is to be used: asked for twice, and not too short.
    pub fn choose(&self) -> Result<Option<Zeroizing<String>>, Error> {
        let Some(chosen) = self.read()? else { return Ok(None) };
        if chosen.chars().count() < SHORTEST {
            let failed = Error::new(Kind::Usage, format!("the passphrase has fewer than {SHORTEST} characters"));
            return Err(failed.hint("whoever has the file can try as often as they like: take six random words"));
        }
        if self.passphrase && *ask("Again: ")? != *chosen {
            return Err(Error::new(Kind::Usage, "the two passphrases differ").hint("try again; nothing was written"));
        }
        Ok(Some(chosen))
    }
}

/// Asks on the terminal, without showing what is typed.
pub fn ask(prompt: &str) -> Result<Zeroizing<String>, Error> {
    hidden(prompt).map(Zeroizing::new).map_err(|error| {
        let failed = Error::new(Kind::Usage, "cannot ask on the terminal").cause(error);
        failed.hint("without a terminal, give it in a file")
    })
}

/// However this ends, by a signal too, the terminal is as it was. `rpassword` alone leaves it as it is when a signal ends us, also on Ctrl-C,
/// so that it is given a terminal that is prepared.
#[cfg(unix)]
fn hidden(prompt: &str) -> io::Result<String> {
    let terminal = Arc::new(File::options().read(true).write(true).open("/dev/tty")?);
    let modes = tcgetattr(&terminal)?;
    let mut hiding = modes.clone();
    // One key at a time, since a line has a limit; Ctrl-C among them, for which rpassword sends the signal.
    hiding.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
    hiding.special_codes[SpecialCodeIndex::VMIN] = 1;
    hiding.special_codes[SpecialCodeIndex::VTIME] = 0;
    let of_terminal = Arc::clone(&terminal);
    let show = move || {
        let _ = tcsetattr(&of_terminal, OptionalActions::Now, &modes);
    };
    let keys = ConfigBuilder::new().input_reader(Arc::clone(&terminal)).output_writer(Arc::clone(&terminal)).build();
    let held = HeldBack::new();
    tcsetattr(&terminal, OptionalActions::Now, &hiding)?;
    let typed = held.while_doing(show.clone(), || rpassword::prompt_password_with_config(prompt, keys));
    show();
    writeln!(&*terminal)?;
    typed
}

#[cfg(not(unix))]
fn hidden(prompt: &str) -> std::io::Result<String> {
    rpassword::prompt_password(prompt)
}
