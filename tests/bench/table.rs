//! Rows with what was measured, what it is compared with, and what was wanted.

use std::fmt;

/// Something that was wanted of a figure.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// Only shown.
    None,
    /// The ratio is at most the first; better yet the second, where there is one.
    Ratio(f64, Option<f64>),
    /// Ours is at most this.
    Own(f64),
    /// The ratio is at most the second, and ours at most the first.
    Both(f64, f64),
}

/// The unit of a row's figures.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// Given in microseconds.
    Time,
    /// Given in KiB.
    Memory,
    /// A number of things.
    Count,
}

struct Row {
    what: String,
    unit: Unit,
    ours: f64,
    other: Option<(&'static str, f64)>,
    goal: Goal,
}

/// Rows in the order in which they were added.
#[derive(Default)]
pub(crate) struct Table(Vec<Row>);

impl Table {
    pub(crate) fn add(&mut self, what: impl Into<String>, unit: Unit, ours: f64, other: Option<(&'static str, f64)>, goal: Goal) {
        self.0.push(Row { what: what.into(), unit, ours, other, goal });
    }
}

impl Unit {
    fn show(self, figure: f64) -> String {
        match self {
            Self::Time if figure < 10.0 => format!("{figure:.2} us"),
            Self::Time if figure < 1000.0 => format!("{figure:.0} us"),
            Self::Time if figure < 1e6 => format!("{:.2} ms", figure / 1e3),
            Self::Time => format!("{:.2} s", figure / 1e6),
            Self::Count => format!("{figure:.0}"),
            Self::Memory => format!("{:.1} MiB", figure / 1024.0),
        }
    }
}

impl Row {
    fn goal(&self, ratio: f64) -> String {
        let met = |met| if met { "met" } else { "MISSED" };
        match self.goal {
            Goal::None => String::new(),
            Goal::Ratio(most, None) => format!("ratio <= {most:.2}: {}", met(ratio <= most)),
            Goal::Ratio(most, Some(aim)) => {
                format!("ratio <= {most:.2}: {}; aim {aim:.2}: {}", met(ratio <= most), met(ratio <= aim))
            }
            Goal::Own(most) => format!("<= {}: {}", self.unit.show(most), met(self.ours <= most)),
            Goal::Both(most, times) => {
                let (own, times_met) = (met(self.ours <= most), met(ratio <= times));
                format!("<= {}: {own}; ratio <= {times:.2}: {times_met}", self.unit.show(most))
            }
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | ours | compared with | ratio | goal |\n| --- | ---: | ---: | ---: | --- |")?;
        for row in &self.0 {
            let ours = row.unit.show(row.ours);
            let (other, ratio) = row.other.unwrap_or(("", f64::NAN));
            let ratio = row.ours / ratio;
            let compared = row.other.map_or(String::new(), |(_, figure)| format!("{other}: {}", row.unit.show(figure)));
            let shown = if ratio.is_nan() { String::new() } else { format!("{ratio:.2}") };
            writeln!(f, "| {} | {ours} | {compared} | {shown} | {} |", row.what, row.goal(ratio))?;
        }
        Ok(())
    }
}
