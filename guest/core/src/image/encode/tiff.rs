//! Pixels to TIFF, with the tags of a `GeoTIFF` where the picture's place is known (specification 1.0: 33550 pixel scale,
//! 33922 tie point, 34735 key directory).

use std::io::{Cursor, Seek, Write};

use tiff::TiffResult;
use tiff::encoder::colortype::{Gray8, RGB8, RGBA8};
use tiff::encoder::{Compression, DirectoryEncoder, TiffEncoder, TiffKind, TiffKindStandard, colortype};
use tiff::tags::Tag;

use super::EncodeError;
use crate::image::jpeg;
use crate::image::map_image::GeoReference;
use crate::image::options::{ImageOptions, TiffCompression};
use crate::image::raster::{Pixels, Raster};

pub(super) fn encode(
    raster: &Raster,
    options: &ImageOptions,
    georeference: Option<&GeoReference>,
) -> Result<Vec<u8>, EncodeError> {
    let true_color;
    let raster = if matches!(raster.pixels(), Pixels::Indexed { .. }) {
        true_color = raster.clone().into_true_color();
        &true_color
    } else {
        raster
    };
    let mut out = Cursor::new(Vec::with_capacity(raster.bytes().len() + 1024));
    let written = match options.encoding.tiff_compression.unwrap_or_default() {
        TiffCompression::Raw => write(&mut out, raster, Compression::Uncompressed, georeference),
        TiffCompression::Lzw => write(&mut out, raster, Compression::Lzw, georeference),
        TiffCompression::Jpeg => return write_jpeg(out, raster, options, georeference),
    };
    written.map_err(failed)?;
    Ok(out.into_inner())
}

#[expect(clippy::needless_pass_by_value, reason = "the signature of map_err")]
fn failed(error: tiff::TiffError) -> EncodeError {
    EncodeError::Failed {
        format: "tiff",
        reason: error.to_string(),
    }
}

fn write<W: Write + Seek>(
    out: W,
    raster: &Raster,
    compression: Compression,
    georeference: Option<&GeoReference>,
) -> TiffResult<()> {
    fn image<W: Write + Seek, C: colortype::ColorType<Inner = u8>>(
        tiff: &mut TiffEncoder<W>,
        raster: &Raster,
        georeference: Option<&GeoReference>,
    ) -> TiffResult<()> {
        let mut image = tiff.new_image::<C>(raster.width(), raster.height())?;
        if let Some(georeference) = georeference {
            write_place(image.encoder(), raster, georeference)?;
        }
        image.write_data(raster.bytes())
    }
    let mut tiff = TiffEncoder::new(out)?.with_compression(compression);
    match raster.pixels() {
        Pixels::Gray(_) | Pixels::Indexed { .. } => image::<_, Gray8>(&mut tiff, raster, georeference),
        Pixels::Rgb(_) => image::<_, RGB8>(&mut tiff, raster, georeference),
        Pixels::Rgba(_) => image::<_, RGBA8>(&mut tiff, raster, georeference),
    }
}

/// One strip that is a complete JPEG (TIFF technical note 2); the `tiff` crate only reads these.
fn write_jpeg(
    mut out: Cursor<Vec<u8>>,
    raster: &Raster,
    options: &ImageOptions,
    georeference: Option<&GeoReference>,
) -> Result<Vec<u8>, EncodeError> {
    let (width, height) = raster.size();
    let (Ok(w), Ok(h)) = (u16::try_from(width), u16::try_from(height)) else {
        return Err(EncodeError::Size {
            format: "tiff (jpeg)",
            max: 65535,
            width,
            height,
        });
    };
    let strip = jpeg::encode(&raster.to_rgb(), (w, h), options.encoding.jpeg_quality.unwrap_or(75));
    let directory = |out: &mut Cursor<Vec<u8>>| -> TiffResult<()> {
        let mut tiff = TiffEncoder::new(out)?;
        let mut directory = tiff.image_directory()?;
        let offset = directory.write_data(strip.as_slice())?;
        directory.write_tag(Tag::ImageWidth, width)?;
        directory.write_tag(Tag::ImageLength, height)?;
        directory.write_tag(Tag::BitsPerSample, &[8_u16; 3][..])?;
        directory.write_tag(Tag::Compression, 7_u16)?;
        directory.write_tag(Tag::PhotometricInterpretation, 6_u16)?;
        directory.write_tag(Tag::Unknown(530), &[2_u16, 2][..])?; // YCbCrSubSampling
        directory.write_tag(Tag::StripOffsets, offset as u32)?;
        directory.write_tag(Tag::SamplesPerPixel, 3_u16)?;
        directory.write_tag(Tag::RowsPerStrip, height)?;
        directory.write_tag(Tag::StripByteCounts, strip.len() as u32)?;
        if let Some(georeference) = georeference {
            write_place(&mut directory, raster, georeference)?;
        }
        directory.finish()
    };
    directory(&mut out).map_err(failed)?;
    Ok(out.into_inner())
}

fn write_place<W: Write + Seek>(
    directory: &mut DirectoryEncoder<'_, W, TiffKindStandard>,
    raster: &Raster,
    georeference: &GeoReference,
) -> TiffResult<()>
where
    TiffKindStandard: TiffKind,
{
    const GEO_KEYS: Tag = Tag::GeoKeyDirectoryTag;
    let [minx, miny, maxx, maxy] = georeference.bbox;
    let scale = [
        (maxx - minx) / f64::from(raster.width()),
        (maxy - miny) / f64::from(raster.height()),
        0.0,
    ];
    directory.write_tag(Tag::ModelPixelScaleTag, &scale[..])?;
    // The upper left corner of the upper left pixel.
    directory.write_tag(Tag::ModelTiepointTag, &[0.0, 0.0, 0.0, minx, maxy, 0.0][..])?;
    if let Some(epsg) = georeference.epsg {
        // GTModelType (1 projected, 2 geographic), GTRasterType (1: pixel is area), the code of the SRS
        let (model, code_key) = if georeference.geographic { (2, 2048) } else { (1, 3072) };
        let keys = [1, 1, 0, 3, 1024, 0, 1, model, 1025, 0, 1, 1, code_key, 0, 1, epsg];
        directory.write_tag(GEO_KEYS, &keys[..])?;
    }
    Ok(())
}
