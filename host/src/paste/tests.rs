//! Whole files: what they amount to, and what is said about those that are wrong.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::listen::{FastCgiEndpoint, SocketFile};

/// A folder with the files that examples name.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("mapproxy-paste-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("projects")).unwrap();
        for file in ["mapproxy.yaml", "roads.yaml", "rivers.yaml"] {
            fs::write(path.join(file), "").unwrap();
        }
        Self(path.canonicalize().unwrap())
    }

    fn load(&self, text: &str, names: Names<'_>) -> Deployment {
        let file = self.0.join("test.ini");
        fs::write(&file, text).unwrap();
        load(&file, names)
    }

    /// Mounts as `PATH FILE`, or `PATH DIR/ (listed)`.
    fn mounts(&self, text: &str) -> Vec<String> {
        let deployment = self.load(text, Names::default());
        assert_eq!(problems(&deployment), Vec::<String>::new(), "{text}");
        self.show(&deployment)
    }

    fn show(&self, deployment: &Deployment) -> Vec<String> {
        let relative = |path: &Path| path.strip_prefix(&self.0).unwrap_or(path).display().to_string();
        let show = |mount: &Mount| match &mount.application {
            Application::Configuration(path) => format!("{}/ {}", mount.path, relative(path)),
            Application::Projects {
                directory,
                allow_listing,
            } => {
                let listed = if *allow_listing { " (listed)" } else { "" };
                format!("{}/ {}/{listed}", mount.path, relative(directory))
            }
        };
        deployment.mounts.iter().map(show).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `LINE:COLUMN error|warning MESSAGE (did you mean …?)`
fn problems(deployment: &Deployment) -> Vec<String> {
    let show = |problem: &Problem| {
        let severity = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let suggestion = problem
            .suggestion
            .as_ref()
            .map(|name| format!(" ({name}?)"))
            .unwrap_or_default();
        format!(
            "{}:{} {severity} {}{suggestion}",
            problem.line, problem.column, problem.message
        )
    };
    deployment.problems.iter().map(show).collect()
}

const APP: &str = "[app:main]\nuse = egg:MapProxy#app\nmapproxy_conf = %(here)s/mapproxy.yaml\n";

#[test]
fn applications() {
    let folder = Folder::new("applications");
    let check = |text: &str, expect: &[&str]| assert_eq!(folder.mounts(text), expect, "{text}");
    check(APP, &["/ mapproxy.yaml"]);
    check(
        "[app]\nuse=egg:MapProxy#app\nmapproxy_conf: %(here)s/mapproxy.yaml",
        &["/ mapproxy.yaml"],
    );
    check(
        "[DEFAULT]\nmapproxy_conf = %(base)s.yaml\nbase = %(here)s/%(name)s\n[application:main]\n\
         use = egg:MapProxy#app\nset name = x\nname = roads\n",
        &["/ roads.yaml"],
    );
    check(
        "[app:main]\nuse = egg:MapProxy#multiapp\nconfig_dir = %(here)s/projects\nallow_listing = true\n",
        &["/ projects/ (listed)"],
    );
    check(
        "[app:main]\nuse = egg:MapProxy#multiapp\nconfig_dir = %(here)s/projects\n",
        &["/ projects/"],
    );
    check(
        "# comment\n; another\n[composite:main]\nuse = egg:Paste#urlmap\n/roads = roads\n/deep/rivers/ = rivers\n\
         / = all\n[app:roads]\nuse = egg:MapProxy#app\nmapproxy_conf = %(here)s/roads.yaml\n[app:rivers]\n\
         use = egg:MapProxy#app\nmapproxy_conf = %(here)s/rivers.yaml\n[app:all]\nuse = egg:MapProxy#multiapp\n\
         config_dir = %(here)s/projects\n",
        &["/roads/ roads.yaml", "/deep/rivers/ rivers.yaml", "/ projects/"],
    );
    // A map within a map.
    check(
        &format!(
            "[composite:main]\nuse = egg:Paste#urlmap\n/a = inner\n[composit:inner]\nuse = egg:Paste#urlmap\n/b = x\n\
             {}",
            APP.replace("main", "x")
        ),
        &["/a/b/ mapproxy.yaml"],
    );
    // A section that takes over another one, and changes it.
    check(
        &format!(
            "[app:main]\nuse = base\nmapproxy_conf = %(here)s/roads.yaml\n{}",
            APP.replace("main", "base")
        ),
        &["/ roads.yaml"],
    );
    check(
        &format!("{APP}[composite:other]\nuse = nonsense\n"),
        &["/ mapproxy.yaml"],
    );
}

#[test]
fn applications_in_other_files() {
    let folder = Folder::new("other-files");
    fs::create_dir(folder.0.join("sub")).unwrap();
    fs::write(
        folder.0.join("sub/other.ini"),
        APP.replace("main", "roads").replace("here)s/", "here)s/../"),
    )
    .unwrap();
    let text = "[composite:main]\nuse = egg:Paste#urlmap\n/r = config:sub/other.ini#roads\n";
    let deployment = folder.load(text, Names::default());
    assert_eq!(problems(&deployment), Vec::<String>::new());
    assert_eq!(deployment.mounts.len(), 1);
    assert_eq!(
        deployment.files,
        [folder.0.join("test.ini"), folder.0.join("sub/other.ini")]
    );

    let deployment = folder.load("[app:main]\nuse = config:missing.ini\n", Names::default());
    assert!(
        problems(&deployment)[0].contains("failed to read the file"),
        "{:?}",
        problems(&deployment)
    );
    let deployment = folder.load("[app:main]\nuse = config:test.ini\n", Names::default());
    assert!(!problems(&deployment).is_empty(), "a file that uses itself");
}

#[test]
fn a_name_chooses_the_application() {
    let folder = Folder::new("names");
    let text = format!(
        "{APP}{}",
        APP.replace("main", "other").replace("mapproxy.yaml", "roads.yaml")
    );
    let load = |app| {
        let names = Names {
            app,
            ..Names::default()
        };
        folder.load(&text, names)
    };
    assert_eq!(folder.show(&load("other")), ["/ roads.yaml"]);
    assert_eq!(
        problems(&load("othr")),
        ["1:1 error there is no application `othr` (other?)"]
    );
}

#[test]
fn servers() {
    let folder = Folder::new("servers");
    let load = |section: &str| folder.load(&format!("{APP}[server:main]\n{section}\n"), Names::default());
    let check = |section: &str, expect: Endpoint| {
        let deployment = load(section);
        assert_eq!(problems(&deployment), Vec::<String>::new(), "{section}");
        assert_eq!(deployment.server.endpoints, [expect], "{section}");
    };
    let http = |address: &str| Endpoint::Http(address.to_owned());
    let tcp = |address: &str| Endpoint::FastCgi(FastCgiEndpoint::Tcp(address.to_owned()));
    let unix = |path: PathBuf, mode| {
        Endpoint::FastCgi(FastCgiEndpoint::Unix(SocketFile {
            path,
            mode,
            group: None,
        }))
    };
    check("use = egg:Paste#http", http("127.0.0.1:8080"));
    check(
        "use = egg:Paste#http\nhost = 0.0.0.0\nport = 8080",
        http("0.0.0.0:8080"),
    );
    check("use = egg:paste#http\nhost = ::1", http("[::1]:8080"));
    check("use = egg:Paste#http\nhost = localhost:81", http("localhost:81"));
    check("use = egg:waitress#main\nlisten = *:8041", http("0.0.0.0:8041"));
    check(
        "use = egg:Flup#fcgi_thread\nhost = 127.0.0.1\nport = 9000",
        tcp("127.0.0.1:9000"),
    );
    check(
        "use = egg:PasteScript#flup_fcgi_thread\nport = 9000",
        tcp("127.0.0.1:9000"),
    );
    let socket = folder.0.join("../var/fcgi-socket");
    check(
        "use = egg:Flup#fcgi_fork\nsocket = %(here)s/../var/fcgi-socket",
        unix(socket.clone(), None),
    );
    check(
        "use = egg:Flup#fcgi_fork\nsocket = %(here)s/../var/fcgi-socket\numask = 007",
        unix(socket, Some(0o770)),
    );
    check(
        "use = egg:Flup#fcgi_thread",
        Endpoint::FastCgi(FastCgiEndpoint::StandardInput),
    );

    let fork = load("use = egg:Flup#fcgi_fork\nport = 1\nmaxChildren = 1\nmaxRequests = 500");
    assert_eq!((fork.server.workers, fork.server.max_requests), (Some(1), Some(500)));
    assert_eq!(folder.load(APP, Names::default()).server, ServerSettings::default());
}

#[test]
fn levels_of_loggers() {
    let folder = Folder::new("levels");
    let load = |text: &str| folder.load(&format!("{APP}{text}"), Names::default());
    assert_eq!(load("").log, None);
    let paster = "[loggers]\nkeys = root, mapproxy\n[handlers]\nkeys = console\n[formatters]\nkeys = generic\n\
        [logger_root]\nlevel = WARNING\nhandlers = console\n[logger_mapproxy]\nlevel = DEBUG\nqualname = mapproxy\n\
        [handler_console]\nclass = StreamHandler\nargs = (sys.stderr,)\n[formatter_generic]\n\
        format = %(asctime)s %(levelname)-5.5s %(message)s\n";
    let deployment = load(paster);
    assert_eq!(deployment.log.as_deref(), Some("warn,mapproxy=debug,guest=debug"));
    assert_eq!(problems(&deployment), Vec::<String>::new());
    let deployment = load("[loggers]\nkeys = root, other\n[logger_root]\nlevel = LOUD\n");
    assert_eq!(deployment.log, None);
    assert_eq!(
        problems(&deployment),
        [
            "7:9 warning `LOUD` is not a level",
            "5:8 warning there is no section `[logger_other]`",
        ]
    );
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let folder = Folder::new("problems");
    let check = |text: &str, expect: &[&str]| {
        let found = problems(&folder.load(text, Names::default()));
        let found: Vec<String> = found
            .iter()
            .map(|problem| problem.replace(&folder.0.display().to_string(), "HERE"))
            .collect();
        assert_eq!(found, expect, "{text}");
    };
    check("", &["0:1 error there is no application `main`"]);
    check("x = 1\n", &["1:1 error `x` stands before the first section"]);
    check("[app:main\n", &["1:1 error the section's name does not end"]);
    check("[a]\nb\n", &["2:1 error `b` has no value"]);
    check("[a]\n= b\n", &["2:1 error there is no key"]);
    check("[a]\nx = 1\nx = 2\n", &["3:1 error `x` is set already, in line 2"]);
    check(
        "[a]\n[b]\n[a]\n",
        &["3:1 error the section `[a]` exists already, in line 1"],
    );
    check("[app:main]\n", &["1:1 error `[app:main]` does not say what it uses"]);
    check(
        "[app:main]\nuse = egg:MapProxy#ap\n",
        &["2:7 error unknown `use`: `egg:MapProxy#ap` (egg:MapProxy#app?)"],
    );
    check(
        "[app:main]\npaste.app_factory = a:b\n",
        &["2:1 error `paste.app_factory` names Python code, which this server cannot run"],
    );
    check(
        "[app:main]\nuse = egg:MapProxy#app\n",
        &["1:1 error `[app:main]` has no `mapproxy_conf`"],
    );
    check(
        "[app:main]\nuse = egg:MapProxy#app\nmapproxy_conf = %(here)s/x.yaml\n",
        &["3:17 error there is no file `HERE/x.yaml`"],
    );
    check(
        "[app:main]\nuse = egg:MapProxy#app\nmapproxy_conf = %(hre)s/x\n",
        &["3:17 error there is no value for `%(hre)s`"],
    );
    check(
        "[app:main]\nuse = egg:MapProxy#app\nmapproxy_conf = 100%\n",
        &["3:17 error `%` begins nothing that can be replaced"],
    );
    check(
        "[app:main]\nuse = egg:MapProxy#app\nmapproxy_conf = %(a)s\na = %(b)s\nb = %(a)s\n",
        &["3:17 error the value refers to itself"],
    );
    check(
        &format!("{APP}mapproxy_confg = 1\nlog_conf = x\n"),
        &[
            "4:1 warning unknown option `mapproxy_confg` (mapproxy_conf?)",
            "5:1 warning `log_conf` means nothing here",
        ],
    );
    check(
        "[app:main]\nuse = egg:MapProxy#multiapp\nconfig_dir = %(here)s/projects\nallow_listing = maybe\n",
        &["4:17 error `allow_listing` is neither true nor false"],
    );
    check(
        "[composite:main]\nuse = egg:Paste#urlmap\n/a = a\n/b = b\n",
        &[
            "3:6 error there is no application `a`",
            "4:6 error there is no application `b`",
        ],
    );
    check(
        "[composite:main]\nuse = egg:Paste#urlmap\nhttp://example.org/ = a\n",
        &["3:1 error applications cannot be told apart by host name"],
    );
    check(
        "[composite:main]\nuse = egg:Paste#urlmap\ndomain example.org / = a\n",
        &["3:1 error applications cannot be told apart by host name"],
    );
    check(
        "[composite:main]\nuse = egg:Paste#urlmap\n/../x = a\n",
        &["3:1 error `/../x` is not a plain path"],
    );
    check(
        &format!(
            "[composite:main]\nuse = egg:Paste#urlmap\n/a = x\n/a/ = x\n{}",
            APP.replace("main", "x")
        ),
        &["1:1 error two applications are mounted at `/a/`"],
    );
    check(
        "[composite:main]\nuse = egg:Paste#urlmap\n",
        &["1:1 error `[composite:main]` maps no path to an application"],
    );
    check(
        &format!(
            "[pipeline:main]\npipeline = log x\n[filter:log]\nuse = egg:Paste#translogger\n{}",
            APP.replace("main", "x")
        ),
        &["2:12 warning the filter `egg:Paste#translogger` is left out"],
    );
    check(
        &format!(
            "[pipeline:main]\npipeline = egg:Other#auth x\n{}",
            APP.replace("main", "x")
        ),
        &["2:12 error the filter `egg:Other#auth` cannot be run"],
    );
    check(
        &format!("{APP}[server:main]\nuse = egg:Paste#htttp\n"),
        &["5:7 error unknown server `egg:Paste#htttp` (egg:Paste#http?)"],
    );
    check(
        &format!("{APP}[server:main]\nuse = egg:Paste#http\nport = 80800\nssl_pem = x\n"),
        &["6:8 error `80800` is not a number that fits"],
    );
    check(
        &format!("{APP}[server:main]\nuse = egg:Paste#http\nssl_pem = x\n"),
        &["6:1 error HTTPS is not served"],
    );
    check(
        &format!("{APP}[server:main]\nuse = egg:Flup#fcgi_fork\nsocket = s\numask = 9\nminSpare = 2\nsokcet = 1\n"),
        &[
            "8:1 warning `minSpare` means nothing here",
            "9:1 warning unknown option `sokcet` (socket?)",
            "7:9 error `9` is not a umask",
        ],
    );
}

#[test]
fn continued_values() {
    let folder = Folder::new("continued");
    let text = "[composite:main]\nuse = egg:Paste#urlmap\n/a =\n    x\n  # comment\n/b = x\n\n[app:x]\n  use = egg:MapProxy#app\n  \
                mapproxy_conf = %(here)s/mapproxy.yaml\n";
    assert_eq!(folder.mounts(text), ["/a/ mapproxy.yaml", "/b/ mapproxy.yaml"]);
}

proptest! {
    /// Whatever a file holds, reading it ends, and every problem points into the file.
    #[test]
    fn any_text_is_read(text in "(\\[(app|composite|server|pipeline):main\\]\n|use ?= ?(egg:MapProxy#app|egg:Paste#urlmap|main|egg:Flup#fcgi_fork)\n|[ -~]{0,12}[=:][ -~]{0,12}\n|[ \t]+[%a-z()]{1,10}\n|/[a-z]? = main\n|\\PC{0,10}\n){0,20}") {
        let path = Path::new("/nonexistent/test.ini");
        let (ini, found) = Ini::parse(path, &text);
        let mut deployment = Deployment { problems: found, ..Deployment::default() };
        application::mounts(&ini, "main", &mut deployment);
        server::settings(&ini, "main", &mut deployment);
        levels::filter(&ini, &mut deployment.problems);
        let lines = text.lines().count();
        for problem in &deployment.problems {
            prop_assert!(problem.line as usize <= lines.max(1), "{problem:?}");
        }
    }

    /// A value is what was written, whatever it holds.
    #[test]
    fn values_survive(value in "[!-~äß€]([ -~äß€]{0,30}[!-~äß€])?") {
        prop_assume!(!value.starts_with('[') );
        let text = format!("[s]\nkey = {}\n", value.replace('%', "%%"));
        let (ini, problems) = Ini::parse(Path::new("/test.ini"), &text);
        prop_assert!(problems.is_empty());
        let section = ini.section("s").unwrap();
        let entry = ini.entry(section, "key").unwrap();
        prop_assert_eq!(ini.value(section, entry).unwrap(), value);
    }
}
