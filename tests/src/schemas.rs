//! Checks documents against the OGC's schemas, with `xmllint` (Debian package libxml2-utils) and the schema files that
//! `tests/fetch-data.sh` brings.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// A kind of document and with it its schema.
#[derive(Debug, Clone, Copy)]
pub enum Document {
    /// WMS 1.0.0 capabilities.
    Wms100,
    /// WMS 1.1.0 capabilities.
    Wms110,
    /// WMS 1.1.1 capabilities.
    Wms111,
    /// WMS 1.1.1 capabilities with WMS-C's tile sets.
    WmsC,
    /// WMS 1.3.0 capabilities.
    Wms130,
    /// WMS 1.1.1 exception.
    Wms111Exception,
    /// WMS 1.3.0 exception.
    Wms130Exception,
    /// WMTS 1.0.0 capabilities.
    Wmts100,
    /// OWS 1.1.0 exception, as WMTS uses it.
    OwsException,
    /// KML 2.2.
    Kml,
}

impl Document {
    fn schema(self) -> &'static str {
        match self {
            Self::Wms100 => "wms/1.0.0/capabilities_1_0_0.dtd",
            Self::Wms110 => "wms/1.1.0/capabilities_1_1_0.dtd",
            Self::Wms111 => "wms/1.1.1/WMS_MS_Capabilities.dtd",
            Self::WmsC => "wmsc/1.1.1/WMS_MS_Capabilities.dtd",
            Self::Wms130 => "../../schemas/wms130.xsd",
            Self::Wms111Exception => "wms/1.1.1/WMS_exception_1_1_1.dtd",
            Self::Wms130Exception => "wms/1.3.0/exceptions_1_3_0.xsd",
            Self::Wmts100 => "wmts/1.0/wmtsGetCapabilities_response.xsd",
            Self::OwsException => "ows/1.1.0/owsExceptionReport.xsd",
            Self::Kml => "kml/2.2.0/ogckml22.xsd",
        }
    }
}

/// Fails with the validator's words and the document unless the document is valid.
#[track_caller]
pub fn assert_valid_xml(kind: Document, document: &[u8]) {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data/schemas")
        .join(kind.schema());
    assert!(
        schema.is_file(),
        "`{}` is missing: run `make data`, which fetches it",
        schema.display()
    );
    let dtd = schema.extension().is_some_and(|extension| extension == "dtd");
    let option = if dtd { "--dtdvalid" } else { "--schema" };
    let mut child = Command::new("xmllint")
        .args(["--noout", "--nonet", option])
        .arg(&schema)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("`xmllint` is missing: run `make test`, or install the Debian package libxml2-utils");
    // a validator that gives up early closes its end, which is not what failed
    let _ = child.stdin.take().expect("stdin is piped").write_all(document);
    let output = child.wait_with_output().expect("xmllint was started");
    assert!(
        output.status.success(),
        "not a valid {kind:?} document:\n{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(document)
    );
}
