//! `[loggers]`: Python's logging configuration, as far as levels go.

use super::ini::{Ini, Section};
use crate::bindings::Problem;

/// Python's levels and ours.
const LEVELS: [(&str, &str); 8] = [
    ("NOTSET", "trace"),
    ("DEBUG", "debug"),
    ("INFO", "info"),
    ("WARN", "warn"),
    ("WARNING", "warn"),
    ("ERROR", "error"),
    ("CRITICAL", "error"),
    ("FATAL", "error"),
];

/// The filter that the loggers of the file amount to; `None` where it has none.
pub(super) fn filter(ini: &Ini, problems: &mut Vec<Problem>) -> Option<String> {
    let loggers = ini.section("loggers")?;
    let keys = ini.entry(loggers, "keys")?;
    let mut parts = Vec::new();
    for name in keys.raw.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let Some(section) = ini.section(&format!("logger_{name}")) else {
            problems.push(ini.warning(
                keys.place,
                format!("there is no section `[logger_{name}]`"),
                "a section for each logger",
            ));
            continue;
        };
        let Some(level) = level(ini, section, problems) else {
            continue;
        };
        if name == "root" {
            parts.insert(0, level.to_owned());
            continue;
        }
        let qualified = ini.entry(section, "qualname").map_or(name, |entry| entry.raw.as_str());
        // Ours are two: the server, and what the component writes. Python's are finer.
        if qualified == "mapproxy" {
            parts.push(format!("mapproxy={level}"));
            parts.push(format!("guest={level}"));
        } else if !qualified.starts_with("paste") {
            problems.push(ini.warning(
                section.place,
                format!("the logger `{qualified}` is not one of this server's"),
                "`root` or `mapproxy`",
            ));
        }
    }
    handlers(ini, problems);
    (!parts.is_empty()).then(|| parts.join(","))
}

fn level(ini: &Ini, section: &Section, problems: &mut Vec<Problem>) -> Option<&'static str> {
    let entry = ini.entry(section, "level")?;
    let wanted = entry.raw.trim().to_uppercase();
    let found = LEVELS.iter().find(|(name, _)| *name == wanted);
    if found.is_none() {
        problems.push(ini.warning(
            entry.place,
            format!("`{wanted}` is not a level"),
            "`DEBUG`, `INFO`, `WARNING`, `ERROR` or `CRITICAL`",
        ));
    }
    found.map(|(_, level)| *level)
}

/// The log goes to standard error, wherever the file would have it.
fn handlers(ini: &Ini, problems: &mut Vec<Problem>) {
    for section in ini.sections().filter(|section| section.name.starts_with("handler_")) {
        if let Some(entry) = ini.entry(section, "class")
            && entry.raw != "StreamHandler"
        {
            problems.push(ini.warning(
                entry.place,
                "the log goes to standard error",
                "a service manager or a shell that puts it where it belongs",
            ));
        }
    }
}
