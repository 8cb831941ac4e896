//! Words in pictures: exceptions, attribution, watermarks, the debug source (sections 2.4, 12, 17; MapProxy's
//! `image/message.py`).

mod font;
mod message;

pub use message::{Spacing, WatermarkStyle, attribution, debug_image, message_image, watermark};
