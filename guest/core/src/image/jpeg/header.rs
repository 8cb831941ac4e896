//! The markers before the scan (T.81, annex B).

use wide::bytemuck::cast_mut;

use super::dct::{PLACES, Paired};
use super::huffman::{Definition, Table};

/// One of the picture's components: gray, or Y, Cb, Cr.
#[derive(Debug)]
pub(super) struct Component {
    id: u8,
    /// Blocks of a unit (MCU) side by side, and one above the other: 1 or 2.
    pub(super) horizontal: u32,
    pub(super) vertical: u32,
    quant: u8,
    /// Factors of the coefficients.
    pub(super) quants: Paired,
    /// Numbers of its Huffman tables, for DC and for AC.
    pub(super) tables: [usize; 2],
}

/// A picture that is ours: 8 bit, Huffman, sequential, one scan; gray, or YCbCr with the sampling 4:4:4, 4:2:2 or 4:2:0.
#[derive(Debug)]
pub(in crate::image) struct Header<'a> {
    width: u32,
    height: u32,
    /// One or three.
    pub(super) components: Vec<Component>,
    /// Huffman tables for DC and for AC, where they are used.
    pub(super) tables: [[Option<Box<Table>>; 4]; 2],
    /// Units between two restart markers; 0 if there are none.
    pub(super) restart: u32,
    /// What comes after the header of the scan.
    pub(super) scan: &'a [u8],
}

/// Reads forward, as long as there is something.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(array)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|&[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().copied().map(u16::from_be_bytes)
    }

    fn slice(&mut self, len: usize) -> Option<&'a [u8]> {
        let (slice, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(slice)
    }

    /// A high and a low half of a byte.
    fn halves(&mut self) -> Option<(u8, u8)> {
        self.u8().map(|byte| (byte >> 4, byte & 15))
    }
}

impl<'a> Header<'a> {
    /// `None` for whatever is not ours, be it right or wrong.
    pub(in crate::image) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut bytes = Bytes(bytes);
        let mut header = Self {
            width: 0,
            height: 0,
            components: Vec::new(),
            tables: [const { [const { None }; 4] }; 2],
            restart: 0,
            scan: &[],
        };
        let mut quants = [None; 4];
        let mut definitions = [[None; 4]; 2];
        let mut jfif = false;
        if bytes.u16()? != 0xffd8 {
            return None;
        }
        loop {
            let marker = bytes.u16()?;
            let len = usize::from(bytes.u16()?);
            let mut segment = Bytes(bytes.slice(len.checked_sub(2)?)?);
            match marker {
                0xffc0 | 0xffc1 => header.frame(&mut segment)?,
                0xffc4 => huffman_tables(&mut segment, &mut definitions)?,
                0xffdb => quantization_tables(&mut segment, &mut quants)?,
                0xffdd => header.restart = u32::from(segment.u16()?),
                0xffda => {
                    header.scan_header(&mut segment)?;
                    header.scan = bytes.0;
                    break;
                }
                0xffe0 => jfif |= segment.0.starts_with(b"JFIF\0"),
                // Adobe says in its twelfth byte whether these are YCbCr.
                0xffee if segment.0.starts_with(b"Adobe") => {
                    if *segment.0.get(11)? != 1 {
                        return None;
                    }
                    jfif = true;
                }
                0xffe1..=0xffef | 0xfffe => {}
                _ => return None,
            }
        }
        // Without a word about colours, libjpeg looks at the names of the components.
        let ids = header.components.iter().map(|component| component.id);
        if header.components.len() == 3 && !jfif && !ids.eq([1, 2, 3]) {
            return None;
        }
        header.link(&quants, &definitions)?;
        Some(header)
    }

    /// Width and height in pixels, neither is 0.
    pub(in crate::image) fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Whether there is one component alone.
    pub(in crate::image) fn is_gray(&self) -> bool {
        self.components.len() == 1
    }

    /// How many samples of the first component there are for one of the others, horizontally and vertically.
    pub(super) fn sampling(&self) -> (u32, u32) {
        self.components
            .first()
            .map_or((1, 1), |first| (first.horizontal, first.vertical))
    }

    /// The Huffman tables of a component, for DC and AC.
    pub(super) fn tables_of(&self, component: &Component) -> Option<(&Table, &Table)> {
        let [dc, ac] = &self.tables;
        let [dc_number, ac_number] = component.tables;
        dc.get(dc_number)?.as_deref().zip(ac.get(ac_number)?.as_deref())
    }

    fn frame(&mut self, segment: &mut Bytes<'_>) -> Option<()> {
        let bits = segment.u8()?;
        let (height, width) = (segment.u16()?, segment.u16()?);
        if !self.components.is_empty() || bits != 8 || width == 0 || height == 0 {
            return None;
        }
        (self.width, self.height) = (u32::from(width), u32::from(height));
        for _ in 0..segment.u8()? {
            let (id, (horizontal, vertical), quant) = (segment.u8()?, segment.halves()?, segment.u8()?);
            self.components.push(Component {
                id,
                horizontal: u32::from(horizontal),
                vertical: u32::from(vertical),
                quant,
                quants: Paired::default(),
                tables: [0; 2],
            });
        }
        let sampling = |component: &Component| (component.horizontal, component.vertical);
        match &mut self.components[..] {
            // A single component is not interleaved, so its units are single blocks, whatever it says.
            [gray] if matches!(sampling(gray), (1..=4, 1..=4)) => (gray.horizontal, gray.vertical) = (1, 1),
            [y, cb, cr]
                if matches!(sampling(y), (1 | 2, 1) | (2, 2)) && sampling(cb) == (1, 1) && sampling(cr) == (1, 1) => {}
            _ => return None,
        }
        segment.0.is_empty().then_some(())
    }

    /// All components in one scan, and all of their coefficients.
    fn scan_header(&mut self, segment: &mut Bytes<'_>) -> Option<()> {
        if self.components.is_empty() || usize::from(segment.u8()?) != self.components.len() {
            return None;
        }
        for component in &mut self.components {
            if segment.u8()? != component.id {
                return None;
            }
            let (dc, ac) = segment.halves()?;
            component.tables = [usize::from(dc), usize::from(ac)];
        }
        (segment.0 == [0, 63, 0]).then_some(())
    }

    /// Gives the components the tables they name.
    fn link(&mut self, quants: &[Option<&[u8; 64]>; 4], definitions: &[[Option<Definition<'_>>; 4]; 2]) -> Option<()> {
        for component in &mut self.components {
            let quants = (*quants.get(usize::from(component.quant))?)?;
            let places: &mut [i16; 64] = cast_mut(&mut component.quants);
            for (&quant, place) in quants.iter().zip(PLACES) {
                places[usize::from(place)] = i16::from(quant);
            }
            for ((tables, definitions), &number) in self.tables.iter_mut().zip(definitions).zip(&component.tables) {
                let table = tables.get_mut(number)?;
                if table.is_none() {
                    *table = Some(Box::new(Table::new(&definitions[number]?)?));
                }
            }
        }
        Some(())
    }
}

fn huffman_tables<'a>(segment: &mut Bytes<'a>, definitions: &mut [[Option<Definition<'a>>; 4]; 2]) -> Option<()> {
    while !segment.0.is_empty() {
        let (class, number) = segment.halves()?;
        let counts = segment.array()?;
        let symbols = segment.slice(counts.iter().map(|&count| usize::from(count)).sum())?;
        // No run comes before a DC.
        if class == 0 && symbols.iter().any(|&symbol| symbol > 15) {
            return None;
        }
        let definition = definitions.get_mut(usize::from(class))?.get_mut(usize::from(number))?;
        *definition = Some(Definition { counts, symbols });
    }
    Some(())
}

fn quantization_tables<'a>(segment: &mut Bytes<'a>, tables: &mut [Option<&'a [u8; 64]>; 4]) -> Option<()> {
    while !segment.0.is_empty() {
        // Those of 16 bits are for samples of 12.
        let (0, number) = segment.halves()? else { return None };
        *tables.get_mut(usize::from(number))? = Some(segment.array()?);
    }
    Some(())
}
