//! Invented titles: words by genre, put together so that a person believes them. None is meant to be a real one.

use std::collections::BTreeSet;

use super::chance::Chance;

/// What a genre's titles are made of.
pub struct Genre {
    /// Its name, as in the catalogue.
    pub name: &'static str,
    /// The places in [`GENRES`] of the genres it is found together with.
    pub near: [usize; 3],
    adjectives: &'static str,
    people: &'static str,
    things: &'static str,
}

/// Makes a title of this genre that is not yet in `taken`, and puts it there.
pub fn title(genre: &Genre, chance: &mut Chance, taken: &mut BTreeSet<String>) -> String {
    for _ in 0..12 {
        let title = compose(genre, chance);
        if taken.insert(title.clone()) {
            return title;
        }
    }
    // So many titles that the words run out: sequels.
    let first = compose(genre, chance);
    let numbered = (2..).map(|part| format!("{first}, Part {part}"));
    let title =
        numbered.into_iter().find(|title| !taken.contains(title)).expect("there is always one more part");
    taken.insert(title.clone());
    title
}

fn compose(genre: &Genre, chance: &mut Chance) -> String {
    let adjective = word(genre.adjectives, chance);
    let person = word(genre.people, chance);
    let thing = word(genre.things, chance);
    let (place, name) = (word(PLACES, chance), word(NAMES, chance));
    match chance.below(20) {
        0..=3 => format!("The {adjective} {thing}"),
        4..=5 => format!("The {adjective} {person}"),
        6..=7 => format!("The {thing} of {place}"),
        8..=9 => format!("The {person} of {place}"),
        10 => format!("{adjective} {}", plural(thing)),
        11 => format!("{} {}", word(NUMBERS, chance), plural(thing)),
        12..=13 => format!("{name} and the {adjective} {thing}"),
        14..=15 => format!("What the {person} {}", word(DEEDS, chance)),
        16 => format!("{name}'s {thing}"),
        17 if thing.starts_with(['A', 'E', 'I', 'O', 'U']) => format!("An {thing} for {name}"),
        17 => format!("A {thing} for {name}"),
        18 => format!("{} to {place}", word(WAYS, chance)),
        _ => format!("{name} of {place}"),
    }
}

/// One of the words, which have commas between them.
fn word<'a>(words: &'a str, chance: &mut Chance) -> &'a str {
    let nth = chance.below(words.split(", ").count() as u64) as usize;
    words.split(", ").nth(nth).expect("there are more words than `nth`")
}

fn plural(thing: &str) -> String {
    let vowel_before_y = ["ay", "ey", "oy"].iter().any(|end| thing.ends_with(end));
    match thing.strip_suffix('y') {
        Some(stem) if !vowel_before_y => format!("{stem}ies"),
        _ if thing.ends_with(['s', 'x']) => format!("{thing}es"),
        _ => format!("{thing}s"),
    }
}

const PLACES: &str = "Varnholt, Kesterly, Port Almira, Ostrava Bay, Dunmarrow, Tessaly Row, Hollin Fell, Quarrington, \
     Saint Brannoc, Lower Ambry, Marrowgate, Cold Aston Mere, Vell Island, Tamsin Reach, Orrery Hill, \
     Belcastra, Nightfen, Pellworm Sound, Cape Ilmar, Rookhampton, Sable Junction, Little Corvane, \
     Ashgrove Heights, Mirador Street, Kolvik, Santa Ferrona, Eskdale North, Lindqvist Square, Tarrabay, \
     Old Perrin, Windlass Quay, Novaya Lipa, Juniper Flats, Haldane Ridge, Zellenberg, Casa Moreluz";
const NAMES: &str = "Amara, Bastian, Cosima, Dov, Elspeth, Farouk, Greta, Hideo, Ines, Jarek, Keziah, Leopold, Maren, \
     Nuno, Odile, Priya, Quentin, Rosalba, Soren, Tamsin, Ulla, Viktor, Wilhelmina, Xenia, Yusuf, Zora, \
     Anselm, Beatriz, Caspian, Delphine, Emeka, Fenna, Gustavo, Halina, Ivo, Juno";
const NUMBERS: &str = "Two, Three, Five, Seven, Eleven, Forty, A Hundred, A Thousand";
const DEEDS: &str = "Knew, Kept, Left Behind, Heard, Saw, Owed, Never Said, Built, Forgot";
const WAYS: &str = "Last Ferry, Night Train, Slow Road, One Way, The Long Way, A Letter, Return, Six Days";

const ACTION: usize = 0;
const ADVENTURE: usize = 1;
const ANIMATION: usize = 2;
const COMEDY: usize = 3;
/// Where `Crime` is in [`GENRES`].
pub const CRIME: usize = 4;
const DOCUMENTARY: usize = 5;
const DRAMA: usize = 6;
/// Where `Family` is in [`GENRES`].
pub const FAMILY: usize = 7;
const FANTASY: usize = 8;
const HISTORY: usize = 9;
const HORROR: usize = 10;
const MYSTERY: usize = 11;
const ROMANCE: usize = 12;
/// Where `Science Fiction` is in [`GENRES`].
pub const SCIENCE_FICTION: usize = 13;
/// Where `Thriller` is in [`GENRES`].
pub const THRILLER: usize = 14;

/// The genres.
pub const GENRES: [Genre; 15] = [
    Genre {
        name: "Action",
        near: [ADVENTURE, THRILLER, SCIENCE_FICTION],
        adjectives: "Burning, Rogue, Iron, Reckless, Armoured, Final, Broken, Furious, Unarmed",
        people: "Arms Dealer, Courier, Gunsmith, Stunt Double, Extraction Pilot",
        things: "Convoy, Ultimatum, Checkpoint, Payload, Perimeter, Countdown, Vendetta, Trigger, Overpass, \
             Blockade",
    },
    Genre {
        name: "Adventure",
        near: [ACTION, FANTASY, FAMILY],
        adjectives: "Lost, Uncharted, Golden, Drowned, Distant, Sunken, Windward, Nameless, Wandering",
        people: "Cartographer, Castaway, Ferryman, Navigator, Treasure Diver",
        things: "Compass, Expedition, Archipelago, Caravan, Lagoon, Summit, Lantern, Sextant, River Map, \
             Outpost",
    },
    Genre {
        name: "Animation",
        near: [FAMILY, COMEDY, FANTASY],
        adjectives: "Paper, Tiny, Clockwork, Flying, Woolly, Upside-Down, Painted, Moonlit, Whistling",
        people: "Puppet Baker, Snail Postman, Cloud Shepherd, Robot Gardener, Fox Conductor",
        things: "Teapot, Balloon, Robot, Turnip, Caterpillar, Umbrella, Penguin, Kite, Biscuit Tin, Snow Globe",
    },
    Genre {
        name: "Comedy",
        near: [ROMANCE, FAMILY, DRAMA],
        adjectives: "Awkward, Accidental, Second-Hand, Overdue, Reluctant, Borrowed, Sensible, Loud, Unpaid",
        people: "Best Man, Landlord, Substitute Teacher, Wedding Caterer, Deputy Mayor",
        things: "Honeymoon, Casserole, Promotion, Parking Spot, Group Chat, Alibi Dinner, Timeshare, \
             Bake-Off, Reunion, Lawnmower",
    },
    Genre {
        name: "Crime",
        near: [THRILLER, MYSTERY, DRAMA],
        adjectives: "Crooked, Counterfeit, Quiet, Dirty, Unmarked, Bloodless, Double, Laundered, Hollow",
        people: "Locksmith, Bookkeeper, Bail Bondsman, Fence, Night Magistrate",
        things: "Ledger, Getaway, Informant, Syndicate, Pawnshop, Handcuff, Wiretap, Racket, Safehouse, \
             Confession",
    },
    Genre {
        name: "Documentary",
        near: [HISTORY, DRAMA, ADVENTURE],
        adjectives: "Hidden, Vanishing, Untold, Ordinary, Deep, Shared, Living, Invisible, Fragile",
        people: "Beekeeper, Glacier Watcher, Seed Collector, Bridge Builder, Whale Listener",
        things: "Reef, Harvest, Archive, Migration, Coastline, Kitchen, Orchestra, Assembly Line, Wetland, \
             Marathon",
    },
    Genre {
        name: "Drama",
        near: [ROMANCE, HISTORY, CRIME],
        adjectives: "Patient, Unfinished, Bitter, Winter, Silent, Tender, Ordinary, Empty, Distant",
        people: "Piano Tuner, Midwife, Orchard Keeper, Night Nurse, Prodigal Uncle",
        things: "Inheritance, Kitchen Table, Estrangement, Harbour, Verdict, Homecoming, Sonata, Orchard, \
             Farewell, Threshold",
    },
    Genre {
        name: "Family",
        near: [ANIMATION, COMEDY, ADVENTURE],
        adjectives: "Muddy, Marvellous, Runaway, Sleepy, Brave, Invisible, Extraordinary, Cosy, Mischievous",
        people: "Lollipop Lady, Grandfather, Zookeeper, Lighthouse Twin, School Bus Driver",
        things: "Treehouse, Puppy, Campsite, Birthday, Pony, Rowboat, Holiday, Snowman, Picnic, Goldfish",
    },
    Genre {
        name: "Fantasy",
        near: [ADVENTURE, ANIMATION, ROMANCE],
        adjectives: "Enchanted, Thornwood, Silver, Ember, Forsworn, Crownless, Starlit, Ancient, Spellbound",
        people: "Hedge Witch, Oathbreaker, Dragon Groom, Bell Sorcerer, Riddle Queen",
        things: "Rune, Citadel, Grimoire, Throne, Familiar, Prophecy Stone, Wyvern, Talisman, Gate, Covenant",
    },
    Genre {
        name: "History",
        near: [DRAMA, DOCUMENTARY, ROMANCE],
        adjectives: "Imperial, Forgotten, Besieged, Royal, Provincial, Exiled, Last, Gilded, Mutinous",
        people: "Regent, Court Physician, Telegraphist, Powder Maker, Governor's Widow",
        things: "Armistice, Garrison, Coronation, Embargo, Galleon, Treaty Table, Uprising, Barricade, \
             Shipyard, Regiment",
    },
    Genre {
        name: "Horror",
        near: [THRILLER, MYSTERY, SCIENCE_FICTION],
        adjectives: "Pale, Rotting, Whispering, Unburied, Crawling, Sleepless, Blind, Feeding, Grinning",
        people: "Gravedigger, Wet Nurse, Taxidermist, Thin Visitor, Bone Collector's Wife",
        things: "Cellar, Scarecrow, Marrow, Attic, Effigy Doll, Ritual, Asylum Key, Hunger, Burrow, Coffin",
    },
    Genre {
        name: "Mystery",
        near: [CRIME, THRILLER, HISTORY],
        adjectives: "Missing, Locked, Curious, Third, Veiled, Impossible, Midnight, Unsigned, Crimson",
        people: "Archivist, Lodger, Clockmaker, Parish Detective, Absent Heiress",
        things: "Cipher, Manuscript, Will, Footprint, Manor, Keyhole, Portrait, Telegram, Witness, Alibi",
    },
    Genre {
        name: "Romance",
        near: [COMEDY, DRAMA, HISTORY],
        adjectives: "Sweet, Unexpected, Summer, Secret, Hopeless, Second, Slow, Lovesick, Faraway",
        people: "Florist, Bookseller, Dance Partner, Matchmaker, Vineyard Heir",
        things: "Proposal, Waltz, Love Letter, Serenade, Courtship, Bouquet, Rendezvous Cafe, Valentine, \
             Affair, Promise",
    },
    Genre {
        name: "Science Fiction",
        near: [ACTION, THRILLER, HORROR],
        adjectives: "Orbital, Synthetic, Quantum, Silent, Terraformed, Cryogenic, Parallel, Stellar, Zero-Point",
        people: "Terraformer, Android Lawyer, Signal Keeper, Clone Pilot, Void Mechanic",
        things: "Airlock, Meridian Engine, Colony, Paradox, Satellite, Wormhole, Starship, Transmission, \
             Habitat, Singularity",
    },
    Genre {
        name: "Thriller",
        near: [CRIME, MYSTERY, ACTION],
        adjectives: "Cold, Vanishing, Deadly, Encrypted, Wrong, Borrowed, Sleeper, Ruthless, Seventh",
        people: "Understudy, Asset Handler, Whistleblower, Bodyguard, Juror",
        things: "Hostage, Blackout, Dossier, Deadline, Embassy, Passenger, Surveillance Tape, Ransom, \
             Tripwire, Motive",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_unique_even_where_words_run_out() {
        let (mut chance, mut taken) = (Chance::new(1), BTreeSet::new());
        for _ in 0..3000 {
            title(&GENRES[CRIME], &mut chance, &mut taken);
        }
        assert_eq!(taken.len(), 3000);
    }

    #[test]
    fn words_have_their_plurals() {
        let plurals = ["Colony", "Holiday", "Compass", "Paradox", "Reef"].map(plural);
        assert_eq!(plurals, ["Colonies", "Holidays", "Compasses", "Paradoxes", "Reefs"]);
    }

    #[test]
    fn a_genre_is_near_others_and_not_itself() {
        for (place, genre) in GENRES.iter().enumerate() {
            assert!(genre.near.iter().all(|near| *near != place && *near < GENRES.len()), "{}", genre.name);
        }
        assert_eq!(GENRES[FAMILY].name, "Family");
        assert_eq!(GENRES[SCIENCE_FICTION].name, "Science Fiction");
        assert_eq!(GENRES[THRILLER].name, "Thriller");
        assert_eq!(GENRES[CRIME].name, "Crime");
    }
}
