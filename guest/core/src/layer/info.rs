//! Feature information of several sources, and how it is put together. (MapProxy: `featureinfo.py`.)

/// Kind of document a source answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InfoKind {
    Text,
    Html,
    Xml,
    Json,
}

/// One answer to GetFeatureInfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureInfo {
    pub kind: InfoKind,
    pub content: Vec<u8>,
}
