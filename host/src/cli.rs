//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::access_log::AccessFormat;
use crate::commands::UtilArgs;
use crate::listen::FastCgiEndpoint;
use crate::logging::{EVERY_COMMAND, LogArgs};
use crate::seed::args::SeedArgs;
use crate::server::parse_script_name;
use crate::units::{parse_duration, parse_size};

/// Serves maps from other servers: WMS, WMTS, TMS and KML, cached and reprojected.
#[derive(Debug, Parser)]
#[command(name = "mapproxy", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_long_help = "\
Examples:
  mapproxy serve mapproxy.yaml                           on http://127.0.0.1:8080/
  mapproxy serve mapproxy.yaml --listen 0.0.0.0:80       for everyone
  mapproxy serve --projects /etc/maps --allow-listing    /etc/maps/roads.yaml below /roads/
  mapproxy create mymapproxy                             configurations to start from
  mapproxy check mapproxy.yaml                           all problems at once, with line and column")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    #[command(flatten)]
    pub(crate) log: LogArgs,

    #[command(flatten)]
    pub(crate) component: ComponentArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a configuration, or a directory of them, over HTTP.
    Serve(Box<ServeArgs>),
    /// Write a new directory: configurations to start from, and what web servers and service managers need.
    Create(CreateArgs),
    /// Fill and clean caches, as a seed configuration says.
    Seed(Box<SeedArgs>),
    /// Check configurations: prints every problem, exits with 0 when there is no error and with 1 otherwise.
    Check(CheckArgs),
    /// Helpers: grids, scales, exports, configurations from services, servers for development.
    Util(UtilArgs),
    /// Print completions for a shell, to be put where it looks for them.
    #[command(after_long_help = "\
Examples:
  mapproxy completions bash > ~/.local/share/bash-completion/completions/mapproxy
  mapproxy completions fish > ~/.config/fish/completions/mapproxy.fish
  mapproxy completions zsh > ~/.zfunc/_mapproxy")]
    Completions(CompletionsArgs),
    /// Write manual pages of all commands into a directory.
    Man(ManArgs),
    /// Compile a configuration into a file, for hosts that run the component without this program.
    Compile(CompileArgs),
    /// Write a copy of this executable that carries the component, compiled for this machine.
    #[command(hide = true)]
    Embed(EmbedArgs),
}

/// Flags about the component.
#[derive(Debug, Clone, Args)]
pub(crate) struct ComponentArgs {
    /// The component to run, in place of the one in this executable.
    ///
    /// A release executable carries its component. Without one, `mapproxy.wasm` beside the executable is used. Compiled
    /// code is kept in `$XDG_CACHE_HOME/mapproxy/code` (by default below `~/.cache`), so only the first start takes
    /// seconds.
    #[arg(
        long,
        global = true,
        env = "MAPPROXY_COMPONENT",
        value_name = "FILE",
        help_heading = EVERY_COMMAND
    )]
    pub(crate) component: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Sizes take B, KiB, MiB, GiB; durations take ms, s, m, h, d; both take fractions, `0.5s`.

Signals: SIGTERM and SIGINT stop accepting, let requests in flight finish (--shutdown-timeout) and exit with 0; \
a second one ends at once. SIGHUP loads the configuration anew and opens the access log again.

Examples:
  mapproxy serve mapproxy.yaml --reload
  mapproxy serve etc/develop.ini                         as `paster serve` did
  mapproxy serve mapproxy.yaml --listen 127.0.0.1:8080 --listen '[::1]:8080'
  mapproxy serve mapproxy.yaml --listen 127.0.0.1:0 --access-log off
  mapproxy serve mapproxy.yaml --fastcgi unix:var/fcgi-socket,mode=0660,group=www-data
  mapproxy serve --projects /etc/maps --max-memory 1GiB --request-timeout 5m")]
pub(crate) struct ServeArgs {
    /// The configuration: a `mapproxy.yaml`, a directory of them, or a Paste Deploy file (`develop.ini`).
    ///
    /// A Paste Deploy file also says what to listen on; the flags of this command line go over what it says.
    #[arg(
        value_name = "CONFIG",
        required_unless_present = "projects",
        conflicts_with = "projects"
    )]
    pub(crate) config: Option<PathBuf>,

    /// The application of a Paste Deploy file.
    #[arg(short = 'n', long = "name", value_name = "NAME", default_value = "main")]
    pub(crate) app_name: String,

    /// The server of a Paste Deploy file.
    #[arg(long, value_name = "NAME", default_value = "main")]
    pub(crate) server_name: String,

    /// Serve every `NAME.yaml` of this directory below `/NAME/`.
    ///
    /// A project is loaded at its first request and again when one of its files changes. One that is broken answers 500
    /// and leaves the others alone.
    #[arg(long, value_name = "DIR")]
    pub(crate) projects: Option<PathBuf>,

    /// Let `/` list the projects.
    #[arg(long)]
    pub(crate) allow_listing: bool,

    /// Memory for loaded projects; those that were not used for the longest time are dropped, and loaded again when
    /// they are asked for.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = parse_size)]
    pub(crate) max_projects_memory: usize,

    /// Load CONFIG anew when a file it was made from changes. While it is broken, the old one is served.
    ///
    /// No request waits for that or fails because of it. Projects are loaded anew in any case.
    #[arg(long)]
    pub(crate) reload: bool,

    /// Address to serve HTTP on [default: 127.0.0.1:8080, unless FastCGI is served]; may be repeated.
    ///
    /// Port 0 takes a free port, the line `listening on ..` names it.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Vec<String>,

    /// Serve FastCGI to a web server on `unix:PATH[,mode=0660][,group=NAME]`, `tcp:HOST:PORT` or `fd:0`; may be repeated.
    ///
    /// A listening socket on standard input is served without being asked for: lighttpd's `bin-path`, `mod_fcgid` and
    /// spawn-fcgi start programs so. So are sockets of systemd's socket units: FastCGI on socket files, HTTP on others,
    /// unless `FileDescriptorName=` says `http` or `fastcgi`.
    #[arg(long, value_name = "ENDPOINT")]
    pub(crate) fastcgi: Vec<FastCgiEndpoint>,

    /// Path below which a web server offers this server, for web servers that do not tell it.
    ///
    /// They tell it in the header `X-Script-Name`, or over FastCGI in `SCRIPT_NAME`; one that puts the whole path there
    /// (nginx without a split, Apache's plain `ProxyPass`) needs this option.
    #[arg(long, value_name = "PATH", value_parser = parse_script_name)]
    pub(crate) script_name: Option<String>,

    /// Processes that serve requests, with one thread each [default: one for each processor].
    ///
    /// Processes do not wait for each other where threads of one process do. The limits on connections and requests
    /// below are shared out among them; never more processes are started than requests may run at the same time.
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<usize>,

    /// Requests after which a worker is replaced by a fresh one, without losing any.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_requests_per_worker: Option<u64>,

    /// Threads of the one process that `--workers 1` leaves [default: one for each processor].
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,

    /// Address for `/healthz` (starting, ready, reloading, draining) and `/metrics` (Prometheus).
    ///
    /// Without it, `/healthz` is answered where the maps are.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) admin: Option<String>,

    /// Time for one request, waiting and upstream servers included; then it is answered with 503.
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = parse_duration)]
    pub(crate) request_timeout: Duration,

    /// Memory of one instance; a request that needs more is answered with 500.
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = parse_size)]
    pub(crate) max_memory: usize,

    /// Requests one instance serves before it is thrown away. With 1, no request sees traces of another.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_requests_per_instance: u32,

    /// Requests that run at the same time [default: 64 for each processor, at most 1024].
    #[arg(long, value_name = "N")]
    pub(crate) max_in_flight: Option<usize>,

    /// Requests that wait for a free place; more are answered with 503 and `Retry-After`.
    #[arg(long, value_name = "N", default_value_t = 1024)]
    pub(crate) queue: usize,

    /// Open connections; further ones wait until one is closed.
    #[arg(long, value_name = "N", default_value_t = 8192)]
    pub(crate) max_connections: usize,

    /// Largest head of a request; more is answered with 431.
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = parse_size)]
    pub(crate) max_header: usize,

    /// Longest path and query of a request; more is answered with 414.
    #[arg(long, value_name = "SIZE", default_value = "32KiB", value_parser = parse_size)]
    pub(crate) max_uri: usize,

    /// Largest body of a request; more is answered with 413.
    #[arg(long, value_name = "SIZE", default_value = "10MiB", value_parser = parse_size)]
    pub(crate) max_body: usize,

    /// Time for a client to send the head of a request, and to send its body; also how long an idle connection is kept.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub(crate) read_timeout: Duration,

    /// Time a client may refuse to take bytes of an answer.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub(crate) write_timeout: Duration,

    /// Time that requests in flight get after SIGTERM.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub(crate) shutdown_timeout: Duration,

    /// Drop what clients say in `X-Script-Name`, `X-Forwarded-*` and `Forwarded`.
    ///
    /// Reverse proxies set these headers, and links in the answers follow them. Use this flag where clients reach this
    /// server directly.
    #[arg(long)]
    pub(crate) no_forwarded_headers: bool,

    /// Largest answer of an upstream server, after decompression.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = parse_size)]
    pub(crate) max_upstream_body: usize,

    /// Longest wait for a connection to an upstream server. The configuration may ask for less.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub(crate) upstream_connect_timeout: Duration,

    /// Longest wait for an upstream server's answer to begin or to go on. The configuration may ask for less.
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = parse_duration)]
    pub(crate) upstream_timeout: Duration,

    /// The MapServer program (`mapserv`) for sources of type `mapserver`.
    ///
    /// It runs on this machine with the rights of this process, once for each request, with the map files that
    /// configurations name and no others. Without it such sources do not answer.
    #[arg(long, value_name = "FILE")]
    pub(crate) mapserver_binary: Option<PathBuf>,

    /// Idle connections kept for each upstream server.
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub(crate) upstream_idle: usize,

    /// Form of the access log.
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "combined")]
    pub(crate) access_log: AccessFormat,

    /// File for the access log, instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) access_log_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
The directory gets etc/develop.ini and etc/config.ini to serve, etc/mapproxy.yaml and etc/seed.yaml, and snippets \
for nginx, lighttpd, Apache and systemd, with the paths of the directory in them.

Examples:
  mapproxy create mymapproxy
  mapproxy serve mymapproxy/etc/develop.ini --reload
  mapproxy create mymapproxy --force                     back to the files it began with")]
pub(crate) struct CreateArgs {
    /// The directory; it is made if need be.
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,

    /// Replace files that are there.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
A seed configuration is checked together with the configuration whose caches it fills: that of --proxy-conf, else \
the only one among the files, else `mapproxy.yaml` beside it.

Examples:
  mapproxy check mapproxy.yaml
  mapproxy check mapproxy.yaml seed.yaml           do the tasks fit the caches?
  mapproxy check -f etc/maps.yaml seeds/*.yaml     seed configurations alone
  mapproxy check /etc/maps etc/develop.ini         a directory, and what an ini file names
  mapproxy check mapproxy.yaml --format json       for editors and scripts")]
pub(crate) struct CheckArgs {
    /// The configurations: each a `mapproxy.yaml`, a seed configuration, a directory of configurations, or a Paste Deploy
    /// file with all it names.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,

    /// The files are seed configurations for this one.
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) proxy_conf: Option<PathBuf>,

    /// Form of the problems.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: CheckFormat,
}

/// Form of the problems `check` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// The source line with the place marked, in colour on a terminal.
    Text,
    /// An array of objects, for editors.
    Json,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Whoever runs the component itself gives it this file; `mapproxy serve` needs none.

Examples:
  mapproxy compile mapproxy.yaml                         writes mapproxy.compiled
  mapproxy compile mapproxy.yaml -o /srv/maps.compiled")]
pub(crate) struct CompileArgs {
    /// The configuration.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// The compiled file [default: FILE with the extension `compiled`].
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
The pages have the date of today, or that of the variable SOURCE_DATE_EPOCH.

Examples:
  mapproxy man ~/.local/share/man/man1
  man mapproxy-seed
  mapproxy man /tmp/pages && man -l /tmp/pages/mapproxy-util-grids.1")]
pub(crate) struct ManArgs {
    /// Where to write `mapproxy.1`, `mapproxy-serve.1`, ..; it is made if it is missing.
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct EmbedArgs {
    /// The executable to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_ends_with_examples_that_keep_their_lines() {
        fn check(command: &clap::Command) {
            let name = command.get_bin_name().unwrap_or_default();
            let end = command
                .get_after_long_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let (notes, examples) = end.split_once("Examples:\n").unwrap_or_default();
            assert!(examples.starts_with("  mapproxy "), "{name}");
            for line in examples.lines() {
                assert!(line.chars().count() <= 100, "{name}: {line}");
            }
            // Paragraphs are filled where they are shown.
            for paragraph in notes.split_terminator("\n\n") {
                assert!(!paragraph.contains('\n'), "{name}: {paragraph}");
            }
            command
                .get_subcommands()
                .filter(|below| !below.is_hide_set())
                .for_each(check);
        }
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        check(&command);
    }
}
