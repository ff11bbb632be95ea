//! Pipes: nothing waits in them, and they may hold whatever a file may.

use std::time::{Duration, Instant};

use super::*;

#[test]
fn a_line_in_a_pipe_comes_out_at_once() {
    let folder = folder();
    let path = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut source = open(&[path.to_string_lossy().into_owned()], &options(), &|_| None).unwrap().remove(0);
    let mut pipe = fs::OpenOptions::new().write(true).open(&path).unwrap();
    // Now and then it is out within less than the time after which anything is looked at again; how often depends on
    // what else the machine does.
    let at_once = |number: usize| {
        let begun = Instant::now();
        pipe.write_all((event(number) + "\n").as_bytes()).unwrap();
        let batch = source.next().unwrap().unwrap();
        let took = begun.elapsed();
        assert_eq!((batch.len(), &batch.offset), (1, &None));
        took < Duration::from_millis(5)
    };
    assert!((0..1_000).any(at_once));
    pipe.write_all(event(1_000).as_bytes()).unwrap();
    drop(pipe);
    assert_eq!(source.next().unwrap().unwrap().len(), 1);
    assert!(source.next().unwrap().is_none());
}

#[test]
fn pipes_may_be_compressed_and_hold_rows() {
    let folder = folder();
    let path = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let rows = "who,what,when\nm1,i1,1\nm2,i2,2";
    let bodies = [rows.as_bytes().to_vec(), gzip(rows), zstd::encode_all(rows.as_bytes(), 1).unwrap()];
    for body in bodies {
        let writer = std::thread::spawn({
            let path = path.clone();
            move || fs::write(path, body).unwrap()
        });
        let read = read(&path, &mapped("member=who,item=what,at=when,kind=play"));
        writer.join().unwrap();
        assert_eq!(
            (read.lines().len(), read.offsets.len(), read.errors.len()),
            (2, 0, 0),
            "{:?}",
            read.errors
        );
    }
}
