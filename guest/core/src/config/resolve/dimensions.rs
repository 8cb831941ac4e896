//! Values of dimensions written out: `start/end/period` of a time becomes a list (behaviour section 17).

use crate::config::findings::Findings;
use crate::config::model::Dimension;
use crate::config::yaml::Node;

/// A series longer than this is a mistake.
const MAX_VALUES: usize = 100_000;

/// The dimensions of a layer.
pub(super) fn dimensions(layer: &Node, findings: &mut Findings) -> Vec<Dimension> {
    let mut all = Vec::new();
    for entry in layer.get("dimensions").map(Node::entries).unwrap_or_default() {
        let Some(values_node) = entry.value.get("values") else {
            continue;
        };
        let given: Vec<String> = values_node.items().iter().filter_map(Node::as_text).collect();
        let values = match given.as_slice() {
            [single] if entry.key.to_lowercase().contains("time") => match expand_times(single) {
                Ok(values) => values,
                Err(problem) => {
                    findings
                        .error(values_node.at, problem)
                        .expect("expected times such as `2020-03-25T12:00:00Z`, or `start/end/period`");
                    continue;
                }
            },
            [single] => single.split('/').map(|value| value.trim().to_owned()).collect(),
            _ => given,
        };
        let Some(last) = values.last() else {
            findings.error(values_node.at, format!("the dimension `{}` has no values", entry.key));
            continue;
        };
        let default = entry
            .value
            .get("default")
            .and_then(Node::as_text)
            .unwrap_or_else(|| last.clone());
        all.push(Dimension {
            name: entry.key.clone(),
            values,
            default,
        });
    }
    all
}

/// `2020-01-01T00:00:00Z/2020-02-01T00:00:00Z/P1D`, or one time.
fn expand_times(text: &str) -> Result<Vec<String>, String> {
    let parts: Vec<&str> = text.split('/').map(str::trim).collect();
    match parts.as_slice() {
        [single] => {
            Time::parse(single)?;
            Ok(vec![(*single).to_owned()])
        }
        [start, end, period] => {
            let (mut time, end, period) = (Time::parse(start)?, Time::parse(end)?, Period::parse(period)?);
            // the first value at or after the end is still one of them, as in MapProxy
            let mut values = vec![time.to_string()];
            while time.instant() < end.instant() {
                let next = time.add(&period);
                if next.instant() <= time.instant() || values.len() >= MAX_VALUES {
                    return Err(format!("`{text}` does not end"));
                }
                time = next;
                values.push(time.to_string());
            }
            Ok(values)
        }
        _ => Err(format!("`{text}` is no series of times")),
    }
}

/// A local time with its offset, kept as given.
#[derive(Debug, Clone, PartialEq)]
struct Time {
    /// days since 1970-01-01
    day: i64,
    /// microseconds of the day
    micros: i64,
    /// seconds east of UTC; `None`: no offset was given
    offset: Option<i64>,
}

const DAY: i64 = 86_400_000_000;

impl Time {
    fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is no time");
        let (date, time) = text.split_once(['T', ' ']).ok_or_else(bad)?;
        let mut numbers = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
        let (year, month, day) = match (numbers.next().flatten(), numbers.next(), numbers.next()) {
            (Some(compact), None, None) if date.len() == 8 => (compact / 10_000, compact / 100 % 100, compact % 100),
            (Some(year), Some(Some(month)), Some(Some(day))) if (0..=9999).contains(&year) => (year, month, day),
            _ => return Err(bad()),
        };
        if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
            return Err(bad());
        }
        let (clock, offset) = match time.find(['Z', '+', '-']) {
            Some(at) => {
                let (clock, zone) = time.split_at(at);
                let sign = if zone.starts_with('-') { -1 } else { 1 };
                let digits: String = zone.chars().filter(char::is_ascii_digit).collect();
                let minutes = match (zone, digits.len()) {
                    ("Z", _) => 0,
                    (_, 2) => digits.parse::<i64>().map_err(|_error| bad())? * 60,
                    (_, 4) => digits
                        .parse::<i64>()
                        .map(|hhmm| hhmm / 100 * 60 + hhmm % 100)
                        .map_err(|_error| bad())?,
                    _ => return Err(bad()),
                };
                (clock, Some(sign * minutes * 60))
            }
            None => (time, None),
        };
        let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
        let digits: String = whole.chars().filter(|c| *c != ':').collect();
        if !digits.bytes().all(|b| b.is_ascii_digit()) || ![2, 4, 6].contains(&digits.len()) {
            return Err(bad());
        }
        let number = format!("{digits:0<6}").parse::<i64>().map_err(|_error| bad())?;
        let (hour, minute, second) = (number / 10_000, number / 100 % 100, number % 100);
        if hour > 24 || minute > 59 || second > 60 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let micro = format!("{fraction:0<6}")
            .get(..6)
            .and_then(|six| six.parse::<i64>().ok())
            .unwrap_or(0);
        let micros = ((hour * 60 + minute) * 60 + second) * 1_000_000 + micro;
        Ok(Self {
            day: days_from_civil(year, month, day),
            micros,
            offset,
        })
    }

    /// Microseconds since 1970 in UTC.
    fn instant(&self) -> i64 {
        self.day * DAY + self.micros - self.offset.unwrap_or(0) * 1_000_000
    }

    fn add(&self, period: &Period) -> Self {
        let (year, month, day) = civil_from_days(self.day);
        let months = year * 12 + month - 1 + period.months;
        let (year, month) = (months.div_euclid(12), months.rem_euclid(12) + 1);
        let start = days_from_civil(year, month, day.min(days_in_month(year, month)));
        let micros = self.micros + period.micros;
        Self {
            day: start + period.days + micros.div_euclid(DAY),
            micros: micros.rem_euclid(DAY),
            offset: self.offset,
        }
    }
}

impl std::fmt::Display for Time {
    /// `2020-03-25T12:00:00Z`, as Python's `isoformat` with `Z` for UTC.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (year, month, day) = civil_from_days(self.day);
        let seconds = self.micros / 1_000_000;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        )?;
        if self.micros % 1_000_000 != 0 {
            write!(f, ".{:06}", self.micros % 1_000_000)?;
        }
        match self.offset {
            None => Ok(()),
            Some(0) => f.write_str("Z"),
            Some(offset) => {
                let minutes = offset.abs() / 60;
                write!(
                    f,
                    "{}{:02}:{:02}",
                    if offset < 0 { '-' } else { '+' },
                    minutes / 60,
                    minutes % 60
                )
            }
        }
    }
}

/// `P1Y2M3W4DT5H6M7S`; fractions are allowed in weeks, days and times.
#[derive(Debug, Default, PartialEq)]
struct Period {
    months: i64,
    days: i64,
    micros: i64,
}

impl Period {
    fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is no period");
        let mut rest = text.strip_prefix('P').filter(|rest| !rest.is_empty()).ok_or_else(bad)?;
        let mut period = Self::default();
        let mut in_time = false;
        while !rest.is_empty() {
            if let Some(time) = rest.strip_prefix('T') {
                (in_time, rest) = (true, time);
                continue;
            }
            let end = rest.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(bad)?;
            let (number, tail) = rest.split_at(end);
            let value = number
                .replace(',', ".")
                .parse::<f64>()
                .ok()
                .filter(|value| (0.0..1e6).contains(value))
                .ok_or_else(bad)?;
            let unit = tail.chars().next().ok_or_else(bad)?;
            let days = |days: f64| (days.trunc() as i64, (days.fract() * DAY as f64) as i64);
            match (unit, in_time) {
                ('Y', false) => period.months += value as i64 * 12,
                ('M', false) => period.months += value as i64,
                ('W', false) => (period.days, period.micros) = days(value * 7.0),
                ('D', false) => (period.days, period.micros) = days(period.days as f64 + value),
                ('H', true) => period.micros += (value * 3.6e9) as i64,
                ('M', true) => period.micros += (value * 6e7) as i64,
                ('S', true) => period.micros += (value * 1e6) as i64,
                _ => return Err(bad()),
            }
            rest = tail.get(1..).unwrap_or_default();
        }
        Ok(period)
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date of the Gregorian calendar.
pub(super) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // years that begin in March, in eras of 400
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let year_of_era = year.rem_euclid(400);
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Seconds since 1970 as `2010-10-21T12:35:00Z`.
pub fn utc(seconds: f64) -> String {
    let seconds = seconds.clamp(-1e11, 1e12) as i64;
    let time = Time {
        day: seconds.div_euclid(86_400),
        micros: seconds.rem_euclid(86_400) * 1_000_000,
        offset: Some(0),
    };
    time.to_string()
}

/// `2010-10-21T12:35:00` as seconds since 1970; times without offset are taken for UTC.
pub(super) fn unix_time(text: &str) -> Option<f64> {
    let text = if text.contains(['T', ' ']) {
        text.to_owned()
    } else {
        format!("{text}T00:00:00")
    };
    Time::parse(&text).ok().map(|time| time.instant() as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_times_are_written_out_as_mapproxy_does() {
        let check = |text: &str, expect: &str| {
            let got = expand_times(text).map_or_else(|problem| problem, |values| values.join(" "));
            assert_eq!(got, expect, "{text}");
        };
        check(
            "2020-03-25T12:00:00Z/2020-03-27T00:00:00Z/PT12H30M",
            "2020-03-25T12:00:00Z 2020-03-26T00:30:00Z 2020-03-26T13:00:00Z 2020-03-27T01:30:00Z",
        );
        check(
            "2020-03-25T12:00:00Z/2020-03-26T12:00:00Z/P1D",
            "2020-03-25T12:00:00Z 2020-03-26T12:00:00Z",
        );
        check(
            "2020-03-25T12:00:00.500+02:00/2020-03-25T10:30:00Z/PT30M",
            "2020-03-25T12:00:00.500000+02:00 2020-03-25T12:30:00.500000+02:00",
        );
        check(
            "2020-01-31T00:00:00/2020-03-01T00:00:00/P1M",
            "2020-01-31T00:00:00 2020-02-29T00:00:00 2020-03-29T00:00:00",
        );
        check(
            "20200101T0000Z/20200101T0300Z/PT1.5H",
            "2020-01-01T00:00:00Z 2020-01-01T01:30:00Z 2020-01-01T03:00:00Z",
        );
        check(
            "2020-01-01T00:00:00Z/2020-01-02T00:00:00Z/PT0S",
            "`2020-01-01T00:00:00Z/2020-01-02T00:00:00Z/PT0S` does not end",
        );
        check("2020-03-25T12:00:00Z", "2020-03-25T12:00:00Z");
        check("2020", "`2020` is no time");
        check("2020-13-25T12:00:00Z", "`2020-13-25T12:00:00Z` is no time");
        check(
            "2020-01-01T00:00:00Z/2020-01-02T00:00:00Z",
            "`2020-01-01T00:00:00Z/2020-01-02T00:00:00Z` is no series of times",
        );
        check("2020-01-01T00:00:00Z/2020-01-02T00:00:00Z/1D", "`1D` is no period");
    }

    #[test]
    fn dates_and_days_agree() {
        for days in (-200_000..200_000).step_by(97) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
        assert_eq!(unix_time("1970-01-02T00:00:01"), Some(86_401.0));
        assert_eq!(unix_time("2010-10-21"), Some(1_287_619_200.0));
    }
}
