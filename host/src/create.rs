//! The files a directory begins with (`paster create`): configurations that work as they are, and what web servers and
//! service managers need. They are the files of this repository's `etc/`, with the paths of the new directory in them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::replace::replace;

/// A file of `etc/`.
struct Template {
    /// Below `etc/`.
    name: &'static str,
    content: &'static str,
    executable: bool,
}

macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        &[$(Template {
            name: $name,
            content: include_str!(concat!("../../etc/", $name)),
            executable: false,
        }),*]
    };
}

const TEMPLATES: &[Template] = templates![
    "develop.ini",
    "config.ini",
    "mapproxy.yaml",
    "seed.yaml",
    "nginx/fastcgi.conf",
    "nginx/fastcgi-by-hand.conf",
    "nginx/fastcgi-keepalive.conf",
    "nginx/fastcgi-plain.conf",
    "nginx/http.conf",
    "lighttpd/fastcgi.conf",
    "lighttpd/bin-path.conf",
    "apache/proxy-fcgi.conf",
    "apache/proxy-fcgi-plain.conf",
    "apache/fcgid.conf",
    "apache/http.conf",
    "systemd/mapproxy.service",
    "systemd/mapproxy.socket",
];

/// The one that is a program.
const PROGRAM: Template = Template {
    name: "apache/mapproxy.fcgi",
    content: include_str!("../../etc/apache/mapproxy.fcgi"),
    executable: true,
};

/// What says how a configuration is served.
const DEPLOYMENT: &str = include_str!("../../etc/config.ini");

/// Directories beside `etc/`.
const DIRECTORIES: [&str; 2] = ["etc", "var"];

/// Why a directory was not created.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateError {
    #[error("there are files already, `--force` replaces them: {}", list(.0))]
    Exists(Vec<PathBuf>),
    #[error("`{}` cannot be written into configurations: expected a path of printable characters without quotes", .0.display())]
    Path(PathBuf),
    #[error("failed to write `{}`: {error}", path.display())]
    Write { path: PathBuf, error: io::Error },
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
    paths.join(", ")
}

/// Writes the files into `directory`, which is made if need be, for the executable `program`. Files that are there stop
/// it before anything is written, unless they may be replaced. Returns what was written.
pub(crate) fn create(directory: &Path, program: &Path, replace: bool) -> Result<Vec<PathBuf>, CreateError> {
    let absolute = std::path::absolute(directory).map_err(|error| CreateError::Write {
        path: directory.to_owned(),
        error,
    })?;
    ensure_plain(&absolute)?;
    ensure_plain(program)?;
    let etc = absolute.join("etc");
    let files: Vec<(PathBuf, &Template)> = TEMPLATES
        .iter()
        .chain([&PROGRAM])
        .map(|template| (etc.join(template.name), template))
        .collect();
    if !replace {
        let present: Vec<PathBuf> = files
            .iter()
            .filter(|(path, _)| fs::symlink_metadata(path).is_ok())
            .map(|(path, _)| path.clone())
            .collect();
        if !present.is_empty() {
            return Err(CreateError::Exists(present));
        }
    }
    for name in DIRECTORIES {
        let path = absolute.join(name);
        fs::create_dir_all(&path).map_err(|error| CreateError::Write { path, error })?;
    }
    for (path, template) in &files {
        write(path, template, &absolute, program).map_err(|error| CreateError::Write {
            path: path.clone(),
            error,
        })?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

/// Writes a Paste Deploy file for a configuration: the one for production, with its socket beside it.
pub(crate) fn create_deployment(path: &Path, configuration: &Path, force: bool) -> Result<(), CreateError> {
    ensure_plain(configuration)?;
    if !force && fs::symlink_metadata(path).is_ok() {
        return Err(CreateError::Exists(vec![path.to_owned()]));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let text = DEPLOYMENT
        .replace("%(here)s/mapproxy.yaml", &configuration.to_string_lossy())
        .replace("%(here)s/../var/", "%(here)s/")
        .replace("unix:var/", "unix:")
        .replace("etc/config.ini", &name)
        .replace(" (nginx/, lighttpd/ and apache/ beside this file)", "");
    replace(path, text.as_bytes(), 0o666).map_err(|error| CreateError::Write {
        path: path.to_owned(),
        error,
    })
}

/// Refuses what would end a string of one of the configurations, or a word of a shell.
fn ensure_plain(path: &Path) -> Result<(), CreateError> {
    let plain = path.to_str().is_some_and(|path| {
        path.chars()
            .all(|character| character.is_alphanumeric() || "/-._+@~".contains(character))
    });
    if plain {
        Ok(())
    } else {
        Err(CreateError::Path(path.to_owned()))
    }
}

fn write(path: &Path, template: &Template, directory: &Path, program: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mode = if template.executable { 0o755 } else { 0o666 };
    replace(path, adapt(template, directory, program).as_bytes(), mode)
}

/// Puts the paths of the new directory in place of those of the templates.
fn adapt(template: &Template, directory: &Path, program: &Path) -> String {
    let directory = directory.to_string_lossy();
    let replacements = [
        ("/path/to/mymapproxy", directory.as_ref()),
        ("/usr/bin/mapproxy", &*program.to_string_lossy()),
        // Tiles do not belong among configurations.
        ("base_dir: cache_data", "base_dir: ../var/cache_data"),
        ("/etc/mapproxy/mapproxy.yaml", &format!("{directory}/etc/mapproxy.yaml")),
        ("CacheDirectory=mapproxy", &format!("ReadWritePaths={directory}/var")),
        (
            "Environment=XDG_CACHE_HOME=/var/cache/mapproxy",
            &format!("Environment=XDG_CACHE_HOME={directory}/var"),
        ),
        ("; the configuration says `base_dir: /var/cache/mapproxy`", ""),
    ];
    let mut text = template.content.to_owned();
    for (from, to) in replacements {
        text = text.replace(from, to);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_etc_is_written() {
        let etc = Path::new(env!("CARGO_MANIFEST_DIR")).join("../etc");
        let mut found = Vec::new();
        // What belongs to other hosts, and the script of `make run`.
        let others = ["run-demo.sh", "spin.toml", "wasmcloud", "kubernetes"];
        for entry in fs::read_dir(&etc).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if others.contains(&name.as_str()) {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                let inner = fs::read_dir(entry.path()).unwrap();
                found.extend(inner.map(|file| format!("{name}/{}", file.unwrap().file_name().display())));
            } else {
                found.push(name);
            }
        }
        let mut written: Vec<&str> = TEMPLATES
            .iter()
            .chain([&PROGRAM])
            .map(|template| template.name)
            .collect();
        found.sort();
        written.sort_unstable();
        assert_eq!(found, written);
    }

    #[test]
    fn paths_are_those_of_the_new_directory() {
        let all: String = TEMPLATES
            .iter()
            .chain([&PROGRAM])
            .map(|template| adapt(template, Path::new("/srv/maps"), Path::new("/opt/bin/mapproxy")))
            .collect();
        for expected in [
            "unix:/srv/maps/var/fcgi-socket",
            "/opt/bin/mapproxy serve /srv/maps/etc/mapproxy.yaml",
            "base_dir: ../var/cache_data",
            "ReadWritePaths=/srv/maps/var",
        ] {
            assert!(all.contains(expected), "{expected}");
        }
        for left in ["/path/to", "/usr/bin/mapproxy", "/var/cache/mapproxy", "/etc/mapproxy/"] {
            assert!(!all.contains(left), "{left}");
        }
    }

    #[test]
    fn paths_that_would_break_a_configuration_are_refused() {
        for path in ["/tmp/a b", "/tmp/a\"b", "/tmp/a;b", "/tmp/a\nb", "/tmp/$a"] {
            let refused = create(Path::new(path), Path::new("/usr/bin/mapproxy"), false);
            assert!(matches!(refused, Err(CreateError::Path(_))), "{path}");
            assert!(!Path::new(path).exists());
        }
    }
}
