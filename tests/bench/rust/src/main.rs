//! The cases of tests/bench/c/bytes.c with the crates bytesbuf and bytes, printed the same way: `case TAB side TAB nanoseconds` per sample.

use std::hint::black_box;
use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};
use bytesbuf::mem::GlobalPool;
use bytesbuf::BytesView;

const SPAN_SIZE: usize = 1024;
const PIECES: usize = 64 * 1024 / 64;
const APPENDS: usize = 10_000;
const SAMPLE_NS: f64 = 1e6;

const BYTESBUF: &str = "bytesbuf (Rust)";
const BYTES: &str = "bytes (Rust)";

struct Case<'a> {
    name: &'static str,
    side: &'static str,
    units: usize,
    run: Box<dyn Fn(usize) + 'a>,
}

fn case<'a>(name: &'static str, side: &'static str, units: usize, once: impl Fn() + 'a) -> Case<'a> {
    // One call through the box does all the times, so that its cost does not count.
    let run = Box::new(move |times| (0..times).for_each(|_| once()));
    Case { name, side, units, run }
}

fn time(case: &Case, times: usize) -> f64 {
    let start = Instant::now();
    (case.run)(times);
    start.elapsed().as_nanos() as f64
}

fn view_of_spans(memory: &GlobalPool, payload: &[u8], count: usize) -> BytesView {
    let view = BytesView::from_views((0..count).map(|_| BytesView::copied_from_slice(payload, memory)));
    assert_eq!(view.slices().count(), count);
    view
}

fn main() {
    let samples: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).expect("usage: bench SAMPLES");
    let memory = GlobalPool::new();
    let payload = vec![0_u8; 64 * 1024];
    let spans: Vec<BytesView> = [1, 8, 16].iter().map(|count| view_of_spans(&memory, &payload[..SPAN_SIZE], *count)).collect();
    let flat = Bytes::copy_from_slice(&payload[..SPAN_SIZE]);
    let separate = [view_of_spans(&memory, &payload[..SPAN_SIZE], 1), view_of_spans(&memory, &payload[..SPAN_SIZE], 1)];

    let (memory, payload, flat, separate) = (&memory, &payload[..], &flat, &separate);
    let mut cases = Vec::new();
    let copies = ["view copy, 1 span", "view copy, 8 spans", "view copy, 16 spans"];
    let ranges = ["view range, 1 span", "view range, 8 spans", "view range, 16 spans"];
    for (i, view) in spans.iter().enumerate() {
        cases.push(case(copies[i], BYTESBUF, 1, move || drop(black_box(black_box(view).clone()))));
        cases.push(case(ranges[i], BYTESBUF, 1, move || drop(black_box(black_box(view).range(1..view.len() - 1)))));
    }
    cases.push(case(copies[0], BYTES, 1, move || drop(black_box(black_box(flat).clone()))));
    cases.push(case(ranges[0], BYTES, 1, move || drop(black_box(black_box(flat).slice(1..flat.len() - 1)))));
    for (name, size) in [("reserve+fill+consume, 1 KiB", 1024), ("reserve+fill+consume, 64 KiB", 64 * 1024)] {
        cases.push(case(name, BYTESBUF, 1, move || {
            let mut buf = memory.reserve(size);
            buf.put_slice(black_box(&payload[..size]));
            drop(black_box(buf.consume_all()));
        }));
        cases.push(case(name, BYTES, 1, move || {
            let mut buf = BytesMut::with_capacity(size);
            buf.put_slice(black_box(&payload[..size]));
            drop(black_box(buf.freeze()));
        }));
    }
    cases.push(case("put 64 B and freeze", BYTESBUF, PIECES, move || {
        let mut buf = memory.reserve(PIECES * 64);
        for _ in 0..PIECES {
            buf.put_slice(black_box(&payload[..64]));
            drop(black_box(buf.consume(64)));
        }
    }));
    cases.push(case("put 64 B and freeze", BYTES, PIECES, move || {
        let mut buf = BytesMut::with_capacity(PIECES * 64);
        for _ in 0..PIECES {
            buf.put_slice(black_box(&payload[..64]));
            drop(black_box(buf.split_to(64).freeze()));
        }
    }));
    cases.push(case("append of 10,000 views, each", BYTESBUF, APPENDS, move || {
        let mut whole = separate[1].clone();
        for i in 0..APPENDS {
            whole.append(separate[i % 2].clone());
        }
        assert_eq!(whole.len(), (APPENDS + 1) * SPAN_SIZE);
        drop(black_box(whole));
    }));

    let times: Vec<usize> = cases
        .iter()
        .map(|case| {
            let mut times = 1;
            loop {
                let taken = (0..3).map(|_| time(case, times)).fold(f64::INFINITY, f64::min);
                if taken >= SAMPLE_NS / 4.0 {
                    return (times as f64 * SAMPLE_NS / taken) as usize + 1;
                }
                times *= 2;
            }
        })
        .collect();
    for sample in 0..samples {
        for i in 0..cases.len() {
            let at = if sample % 2 == 0 { i } else { cases.len() - 1 - i };
            let taken = time(&cases[at], times[at]);
            println!("{}\t{}\t{:.4}", cases[at].name, cases[at].side, taken / (times[at] * cases[at].units) as f64);
        }
    }
}
