//! A directory of projects: each below its name, loaded when asked for, apart from the others.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use mapproxy_tests::server::{Server, hostile_component};

/// A folder with a folder of projects in it.
struct Projects {
    folder: tempfile::TempDir,
}

impl Projects {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("projects"))?;
        Ok(Self { folder })
    }

    fn directory(&self) -> PathBuf {
        self.folder.path().join("projects")
    }

    fn put(&self, name: &str, configuration: &str) -> Result<()> {
        Ok(fs::write(self.directory().join(name), configuration)?)
    }

    async fn serve(&self, arguments: &str) -> Result<Server> {
        Server::builder()?
            .component(hostile_component()?)
            .arg("--projects")
            .arg(self.directory())
            .args(arguments)
            .start()
            .await
    }
}

#[tokio::test]
async fn projects_are_served_below_their_names_and_reloaded() -> Result<()> {
    let projects = Projects::new()?;
    projects.put("roads.yaml", "")?;
    projects.put("broken.yaml", "error this is wrong\n")?;
    fs::write(projects.folder.path().join("outside.yaml"), "")?;
    let server = projects.serve("--allow-listing").await?;

    server.check("/", 200, "<a href=\"/roads/\">").await?;
    server.check("/roads/echo?a=b", 200, "/echo?a=b\n").await?;
    server.check("/roads/echo", 200, "x-script-name: /roads\n").await?;
    server.check("/nothing/echo", 404, "").await?;
    server.check("/..%2foutside/echo", 404, "").await?;
    server
        .check("/broken/hello", 500, "The configuration of <b>broken</b> has errors")
        .await?;
    server.check("/roads/hello", 200, "hello").await?;
    server.wait_for_log("this is wrong").await?;

    projects.put("broken.yaml", "warning repaired\n")?;
    server.check("/broken/hello", 200, "hello").await?;
    projects.put("roads.yaml", "error broken now\n")?;
    server.check("/roads/hello", 500, "").await?;
    fs::remove_file(projects.directory().join("roads.yaml"))?;
    server.check("/roads/hello", 404, "").await?;
    projects.put("roads.yaml", "")?;
    server.check("/roads/hello", 200, "hello").await
}

#[tokio::test]
async fn a_part_of_a_project_counts_as_the_project() -> Result<()> {
    let projects = Projects::new()?;
    let base = projects.folder.path().join("base");
    fs::write(&base, "")?;
    projects.put("roads.yaml", &format!("need {}\n", base.display()))?;
    let server = projects.serve("--workers 1").await?;
    server.check("/roads/hello", 200, "hello").await?;
    fs::write(&base, "changed")?;
    server.check("/roads/hello", 200, "hello").await?;
    server.wait_for_log("loaded the changed configuration").await?;
    Ok(())
}

#[tokio::test]
async fn without_listing_the_start_page_names_nobody() -> Result<()> {
    let projects = Projects::new()?;
    projects.put("secret.yaml", "")?;
    let server = projects.serve("").await?;
    server.check("/", 200, "Welcome to MapProxy").await?;
    let page = server.get("/").await?;
    assert!(!String::from_utf8_lossy(page.body()).contains("secret"));
    server.check("//", 404, "").await
}

#[tokio::test]
async fn projects_do_not_see_each_others_directories() -> Result<()> {
    let projects = Projects::new()?;
    let data = projects.folder.path().join("data");
    fs::create_dir(&data)?;
    fs::write(data.join("file"), "data of roads")?;
    projects.put("roads.yaml", &format!("read {}\n", data.display()))?;
    projects.put("rivers.yaml", "")?;
    let server = projects.serve("--workers 1 --max-requests-per-instance 5").await?;
    let file = data.join("file");
    for _ in 0..3 {
        server
            .check(&format!("/roads/read{}", file.display()), 200, "data of roads")
            .await?;
        server
            .check(&format!("/rivers/read{}", file.display()), 404, "")
            .await?;
    }
    Ok(())
}

fn resident_kib(server: &Server) -> Result<usize> {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid()?.as_raw_nonzero()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line.unwrap_or_default().trim().trim_end_matches(" kB").parse()?)
}

#[tokio::test]
async fn of_thousands_of_projects_only_those_in_use_are_in_memory() -> Result<()> {
    const COUNT: usize = 2000;
    /// Of each compiled configuration.
    const SIZE: usize = 64 << 10;
    let projects = Projects::new()?;
    let padding = "x".repeat(SIZE);
    for number in 0..COUNT {
        projects.put(&format!("project{number}.yaml"), &padding)?;
    }
    projects.put("broken.yaml", "error never asked for\n")?;
    let server = projects
        .serve("--workers 1 --max-projects-memory 4MiB --log debug")
        .await?;
    server.check("/project0/hello", 200, "hello").await?;
    assert!(!server.log().contains("never asked for"), "starting reads no project");

    let warm = 200;
    for number in 0..warm {
        server.check(&format!("/project{number}/hello"), 200, "hello").await?;
    }
    let before = resident_kib(&server)?;
    for number in warm..COUNT {
        server.check(&format!("/project{number}/hello"), 200, "hello").await?;
    }
    let grown = resident_kib(&server)?.saturating_sub(before);
    let unbounded = (COUNT - warm) * SIZE / 1024;
    assert!(
        grown < unbounded / 4,
        "{grown} KiB more, of {unbounded} KiB that were loaded"
    );
    server.wait_for_log("dropped from memory").await?;
    // One that was dropped comes back.
    server.check("/project0/hello", 200, "hello").await
}

#[tokio::test]
async fn loaded_projects_leave_open_files_for_requests() -> Result<()> {
    const COUNT: usize = 150;
    let projects = Projects::new()?;
    for number in 0..COUNT {
        let data = projects.folder.path().join(format!("data{number}"));
        fs::create_dir(&data)?;
        fs::write(data.join("file"), format!("data of {number}"))?;
        projects.put(&format!("project{number}.yaml"), &format!("read {}\n", data.display()))?;
    }
    // Fewer open files than all of them need.
    let limited = projects.folder.path().join("limited");
    let binary = mapproxy_tests::server::binary()?;
    fs::write(
        &limited,
        format!("#!/bin/sh\nulimit -n 128\nexec '{}' \"$@\"\n", binary.display()),
    )?;
    fs::set_permissions(&limited, fs::Permissions::from_mode(0o755))?;
    let server = Server::builder()?
        .bundled(limited)
        .component(hostile_component()?)
        .arg("--projects")
        .arg(projects.directory())
        .args("--workers 1 --log debug")
        .start()
        .await?;
    for number in (0..COUNT).chain(0..COUNT) {
        let file = projects.folder.path().join(format!("data{number}/file"));
        server
            .check(
                &format!("/project{number}/read{}", file.display()),
                200,
                &format!("data of {number}"),
            )
            .await?;
    }
    server.wait_for_log("dropped from memory").await?;
    Ok(())
}

#[test]
fn a_directory_of_projects_has_to_exist() -> Result<()> {
    let output = std::process::Command::new(mapproxy_tests::server::binary()?)
        .env("MAPPROXY_COMPONENT", hostile_component()?)
        .args(["serve", "--listen", "127.0.0.1:0", "--projects"])
        .arg(Path::new("/nonexistent/projects"))
        .output()?;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent/projects"));
    Ok(())
}
