//! Manifests for other hosts, as far as they can be checked without those: every field is a documented one, and what
//! they say of this program is true.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use mapproxy_tests::server::{binary, component};
use serde::Deserialize;

fn etc(file: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../etc").join(file);
    std::fs::read_to_string(&path).with_context(|| format!("failed to read `{}`", path.display()))
}

/// Spin's manifest, version 2.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spin {
    #[serde(rename = "spin_manifest_version")]
    manifest_version: u32,
    #[serde(rename = "application")]
    _application: SpinApplication,
    trigger: BTreeMap<String, Vec<SpinTrigger>>,
    component: BTreeMap<String, SpinComponent>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpinApplication {
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "version")]
    _version: String,
    #[serde(rename = "description")]
    _description: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpinTrigger {
    route: String,
    component: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpinComponent {
    source: String,
    files: Vec<SpinFile>,
    environment: BTreeMap<String, String>,
    #[serde(rename = "allowed_outbound_hosts")]
    _allowed_outbound_hosts: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpinFile {
    source: String,
    destination: String,
}

#[test]
fn spin() -> Result<()> {
    let manifest: Spin = toml::from_str(&etc("spin.toml")?)?;
    assert_eq!(manifest.manifest_version, 2);
    let trigger = manifest.trigger.get("http").and_then(|triggers| triggers.first());
    let trigger = trigger.context("there is a trigger")?;
    assert_eq!(trigger.route, "/...");
    let component = manifest
        .component
        .get(&trigger.component)
        .context("the component exists")?;
    assert!(component.source.ends_with("/mapproxy.wasm"));
    let file = component.files.first().context("the configuration is given")?;
    assert_eq!(component.environment.get("MAPPROXY_CONFIG"), Some(&file.destination));
    etc(&file.source)?;
    Ok(())
}

/// `runtime.wasmcloud.dev/v1alpha1`, what is used of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WorkloadDeployment {
    api_version: String,
    kind: String,
    #[serde(rename = "metadata")]
    _metadata: BTreeMap<String, String>,
    spec: DeploymentSpec,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeploymentSpec {
    #[serde(rename = "replicas")]
    _replicas: u32,
    template: Template,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Template {
    spec: WorkloadSpec,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WorkloadSpec {
    #[serde(rename = "hostSelector")]
    _host_selector: BTreeMap<String, String>,
    components: Vec<WorkloadComponent>,
    volumes: Vec<Volume>,
    host_interfaces: Vec<HostInterface>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct WorkloadComponent {
    #[serde(rename = "name")]
    _name: String,
    #[serde(rename = "image")]
    _image: String,
    local_resources: LocalResources,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LocalResources {
    environment: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(rename = "allowedHosts")]
    _allowed_hosts: Vec<String>,
    volume_mounts: Vec<VolumeMount>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VolumeMount {
    name: String,
    mount_path: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Volume {
    name: String,
    host_path: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HostInterface {
    namespace: String,
    package: String,
    interfaces: Vec<String>,
    #[serde(rename = "config")]
    _config: BTreeMap<String, String>,
}

#[test]
fn wasmcloud() -> Result<()> {
    let deployment: WorkloadDeployment = serde_yaml::from_str(&etc("wasmcloud/workloaddeployment.yaml")?)?;
    assert_eq!(
        (deployment.api_version.as_str(), deployment.kind.as_str()),
        ("runtime.wasmcloud.dev/v1alpha1", "WorkloadDeployment")
    );
    let spec = deployment.spec.template.spec;
    let resources = &spec.components.first().context("there is a component")?.local_resources;
    let config = resources
        .environment
        .get("config")
        .and_then(|config| config.get("MAPPROXY_CONFIG"));
    let config = config.context("the configuration is named")?;
    let mount = resources.volume_mounts.first().context("there is a volume")?;
    let volume = spec.volumes.iter().find(|volume| volume.name == mount.name);
    // A compiled configuration holds absolute paths.
    assert_eq!(
        volume.context("the volume exists")?.host_path.get("path"),
        Some(&mount.mount_path)
    );
    assert!(config.starts_with(&mount.mount_path));
    let http = spec
        .host_interfaces
        .iter()
        .find(|interface| interface.package == "http");
    let http = http.context("there is HTTP")?;
    assert_eq!(http.namespace, "wasi");
    assert_eq!(http.interfaces, ["incoming-handler", "outgoing-handler"]);

    let wash: BTreeMap<String, BTreeMap<String, String>> = serde_yaml::from_str(&etc("wasmcloud/config.yaml")?)?;
    let build = wash.get("build").context("there is a build")?;
    assert_eq!(build.keys().collect::<Vec<_>>(), ["command", "component_path"]);
    Ok(())
}

#[test]
fn kubernetes() -> Result<()> {
    let mut configuration = None;
    let mut arguments = Vec::new();
    for document in serde_yaml::Deserializer::from_str(&etc("kubernetes/mapproxy.yaml")?) {
        let value = serde_yaml::Value::deserialize(document)?;
        match value.get("kind").and_then(|kind| kind.as_str()) {
            Some("ConfigMap") => {
                configuration = value["data"]["mapproxy.yaml"].as_str().map(str::to_owned);
            }
            Some("Deployment") => {
                let container = &value["spec"]["template"]["spec"]["containers"][0];
                let given = container["args"].as_sequence().context("there are arguments")?;
                arguments.extend(given.iter().filter_map(|argument| Some(argument.as_str()?.to_owned())));
            }
            Some("PersistentVolumeClaim" | "Service") => {}
            other => anyhow::bail!("an unknown document: {other:?}"),
        }
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("mapproxy.yaml");
    std::fs::write(&file, configuration.context("there is a configuration")?)?;
    let checked = Command::new(binary()?)
        .env("MAPPROXY_COMPONENT", component()?)
        .arg("check")
        .arg(&file)
        .output()?;
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(said.contains("0 errors, 0 warnings"), "{said}");

    let help = Command::new(binary()?).args(["serve", "--help"]).output()?;
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let options = arguments
        .iter()
        .filter_map(|argument| argument.split_once('=').or(Some((argument.as_str(), ""))));
    for (option, _) in options.filter(|(option, _)| option.starts_with('-')) {
        assert!(help.contains(option), "{option}");
    }
    Ok(())
}
