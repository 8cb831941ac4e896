//! The command line as a person meets it: help that teaches, errors that say what was expected. Nothing here needs a
//! component; what does is in the `tests` package.

use std::process::{Command, Output};

fn mapproxy(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mapproxy"))
        .args(arguments)
        .env("MAPPROXY_COMPONENT", "/nonexistent/mapproxy.wasm")
        .output()
        .expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn help_names_every_command_and_shows_examples() {
    let output = mapproxy(&["--help"]);
    assert!(output.status.success());
    for expected in ["serve", "check", "compile", "Examples:", "mapproxy serve mapproxy.yaml"] {
        assert!(stdout(&output).contains(expected), "{expected}\n{}", stdout(&output));
    }
    assert!(
        !stdout(&output).contains("embed"),
        "the command of the release recipe is nobody else's business"
    );
}

#[test]
fn help_of_serve_states_defaults_and_signals() {
    let output = mapproxy(&["serve", "--help"]);
    assert!(output.status.success());
    for expected in [
        "[default: 127.0.0.1:8080, unless FastCGI is served]",
        "--request-timeout",
        "--max-memory",
        "--projects",
        "SIGTERM",
    ] {
        assert!(stdout(&output).contains(expected), "{expected}\n{}", stdout(&output));
    }
}

#[test]
fn a_misspelled_option_is_refused_with_the_right_one() {
    let output = mapproxy(&["serve", "mapproxy.yaml", "--lisen", "127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--listen"), "{}", stderr(&output));
}

#[test]
fn a_missing_component_is_named() {
    let any_file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let output = mapproxy(&["serve", any_file, "--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("/nonexistent/mapproxy.wasm"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn help_of_seed_shows_examples_and_exit_codes() {
    let output = mapproxy(&["seed", "--help"]);
    assert!(output.status.success());
    for expected in ["--continue", "--rate", "Exit codes:", "Examples:"] {
        assert!(stdout(&output).contains(expected), "{expected}\n{}", stdout(&output));
    }
}

#[test]
fn completions_and_manual_pages_come_from_the_same_definitions() {
    for shell in ["bash", "zsh", "fish"] {
        let output = mapproxy(&["completions", shell]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stdout(&output).contains("retry-wait"), "{shell}");
    }
    let directory = std::env::temp_dir().join(format!("mapproxy-man-{}", std::process::id()));
    let output = mapproxy(&["man", &directory.to_string_lossy()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let page = std::fs::read_to_string(directory.join("mapproxy-seed.1")).unwrap();
    assert!(page.contains("retry"), "{page}");
    assert!(directory.join("mapproxy.1").exists());
    assert!(!directory.join("mapproxy-embed.1").exists());
    std::fs::remove_dir_all(directory).unwrap();
}
