//! Folders that are made of those of another number of processes: all of them are whole, or none passes for it.

use super::{Fire, LOG};

#[test]
fn folders_that_are_not_all_made_pass_for_no_pipeline_and_those_before_are_as_they_were() {
    let fire = Fire::new();
    fire.ok(&["--data", "before", "replay", "--model", "model-1", LOG]);
    let digest = fire.digest("before");
    let two = ["reshard", "before", "--to", "first", "--to", "second"];
    let opens = |data: &str| fire.home.ok(&["--data", data, "status"]);
    for (place, first, second) in [
        ("load-taken=2", false, false),
        ("reshard-filled", false, false),
        ("reshard-placed", false, false),
        ("reshard-placed=2", false, false),
        // All are whole from here on; the second still says that it is not.
        ("reshard-unmarked", true, false),
        ("reshard-unmarked=2", true, true),
    ] {
        fire.dies(place, &two);
        for (data, whole) in [("first", first), ("second", second)] {
            match opens(data) {
                Ok(said) => assert!(whole, "{place}: {data} was opened: {said}"),
                Err(said) => {
                    assert!(!whole && said.contains("`nearline reshard` is making it"), "{place}: {said}");
                    assert!(fire.home.ok(&["--data", data, "run", LOG]).is_err(), "{place}");
                }
            }
        }
        assert_eq!(fire.digest("before"), digest, "{place}");
        // What is marked is begun anew; what is not is somebody's folder.
        let again = fire.home.ok(&two);
        assert_eq!(again.is_err(), first, "{place}: {again:?}");
        if again.is_err() {
            for data in ["first", "second"] {
                std::fs::remove_dir_all(fire.home.path(data)).unwrap();
            }
            fire.ok(&two);
        }
        fire.ok(&["reshard", "second", "first", "--to", "whole"]);
        fire.ok(&["--data", "whole", "run", LOG]);
        assert_eq!(fire.digest("whole"), digest, "{place}");
        for data in ["first", "second", "whole"] {
            std::fs::remove_dir_all(fire.home.path(data)).unwrap();
        }
    }
}
