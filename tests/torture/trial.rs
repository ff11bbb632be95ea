//! A trial: one seed, one data folder, one life after another cut short, and what must hold after each and at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use crate::process::{Ended, Far, Home, end};
use crate::topic::Topic;
use crate::world::{Chance, What, World};

/// What a trial is to be like.
#[derive(Clone, Debug)]
pub struct Shape {
    pub seed: u64,
    /// How many times it is killed.
    pub kills: usize,
    /// Workers to draw from.
    pub workers: Vec<usize>,
    /// Whether some trials are of a hundred thousand records and more.
    pub large: bool,
    /// Another build of it.
    pub program: Option<PathBuf>,
    /// A broker: what would grow in files comes through a topic instead, a partition for each file.
    pub brokers: Option<String>,
}

/// What a trial has come to.
#[derive(Default, Clone, Debug)]
pub struct Tally {
    pub trials: usize,
    pub kills: usize,
    pub cuts: usize,
    pub starts: usize,
    pub records: usize,
    pub bytes: usize,
    pub answers: usize,
    pub swaps: usize,
    pub checked: usize,
    pub differences: usize,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.trials += other.trials;
        self.kills += other.kills;
        self.cuts += other.cuts;
        self.starts += other.starts;
        self.records += other.records;
        self.bytes += other.bytes;
        self.answers += other.answers;
        self.swaps += other.swaps;
        self.checked += other.checked;
        self.differences += other.differences;
    }
}

/// A file that grows, or a partition of the topic.
struct Log {
    path: PathBuf,
    deliveries: Vec<usize>,
    /// How many of them are in the file whole, and how many bytes of the next.
    written: usize,
    torn: usize,
}

pub struct Trial {
    shape: Shape,
    home: Home,
    world: World,
    logs: Vec<Log>,
    topic: Option<Topic>,
    /// What goes through standard input, and from where on it is not known to be taken.
    pipe: Vec<usize>,
    sent: usize,
    /// What goes through the socket, in requests of several records.
    requests: Vec<Vec<usize>>,
    /// How many records were sent so in this life, taken or not.
    by_socket: usize,
    /// Records that the folder acknowledged, one way or another.
    acknowledged: BTreeSet<usize>,
    /// Members whose forgetting was asked for, and of whom it was answered, up to which moment.
    asked: BTreeSet<usize>,
    forgotten: BTreeMap<usize, i64>,
    models: bool,
    /// A command that waits for another model to take over.
    using: Option<Child>,
    far: Far,
    pub tally: Tally,
}

/// When a process is killed.
#[derive(Debug)]
enum Moment {
    /// After so long.
    After(Duration),
    /// By the system, when it writes past so many blocks of a file; or after a while.
    AtABlock(usize),
    /// So long after the socket has answered so many requests, or while it answers.
    AfterAnswers(usize, Duration),
    /// So long after `status` has said that a part of what was given is committed.
    AfterStatus(Duration),
}

impl Trial {
    /// Draws a trial from its seed.
    pub fn new(shape: &Shape, folder: PathBuf) -> Trial {
        let mut chance = Chance::new(shape.seed, 1);
        let large = shape.large && chance.per_cent(15);
        let size = if large { chance.within(150_000, 400_000) } else { chance.within(500, 12_000) };
        let world = World::new(shape.seed, size);
        let home = Home { folder, program: shape.program.clone() };
        // Some come twice, some late, some long after everything else.
        let mut deliveries: Vec<usize> = (0..size).collect();
        let again = size * chance.below(30) / 100;
        deliveries.extend((0..again).map(|_| chance.below(size)));
        match chance.below(3) {
            0 => {}
            1 => deliveries.chunks_mut(50).for_each(|some| chance.shuffle(some)),
            _ => chance.shuffle(&mut deliveries),
        }
        let mut logs: Vec<Log> = (0..chance.within(1, 4))
            .map(|number| home.path(&format!("log-{number}.jsonl")))
            .map(|path| Log { path, deliveries: Vec::new(), written: 0, torn: 0 })
            .collect();
        let (mut pipe, mut by_socket) = (Vec::new(), Vec::new());
        let piped = chance.below(60);
        let socket = if large { 0 } else { 6 };
        for delivery in deliveries {
            let broken = matches!(world.records[delivery].what, What::Broken);
            match chance.below(100) {
                share if share < socket && !broken => by_socket.push(delivery),
                share if share < piped => pipe.push(delivery),
                _ => {
                    let log = chance.below(logs.len());
                    logs[log].deliveries.push(delivery);
                }
            }
        }
        let requests = by_socket.chunks(chance.within(1, 9)).map(<[usize]>::to_vec).rev().collect();
        let tally = Tally { trials: 1, records: size, ..Tally::default() };
        let models = chance.per_cent(75);
        Trial {
            shape: shape.clone(),
            home,
            world,
            topic: shape.brokers.as_ref().map(|brokers| Topic::new(brokers, shape.seed, logs.len())),
            logs,
            pipe,
            sent: 0,
            requests,
            by_socket: 0,
            acknowledged: BTreeSet::new(),
            asked: BTreeSet::new(),
            forgotten: BTreeMap::new(),
            models,
            using: None,
            far: Far::default(),
            tally,
        }
    }

    /// Runs it to its end; why it failed, where it did.
    pub fn run(&mut self) -> Result<(), String> {
        self.undisturbed()?;
        for life in 0.. {
            // A process that ends by itself before its time is no kill; with too many of those it is enough.
            if self.tally.kills + self.tally.cuts >= self.shape.kills || life > 3 * self.shape.kills as u64 {
                break;
            }
            let said = self.live(life).and_then(|()| self.check(life));
            said.map_err(|why| format!("life {life}: {why}"))?;
        }
        self.finish()
    }

    /// Makes the models, and the folder that no kill disturbs.
    fn undisturbed(&mut self) -> Result<(), String> {
        let lines = self.world.records.iter().filter(|record| !matches!(record.what, What::Broken));
        let text: String = lines.flat_map(|record| [&*record.line, "\n"]).collect();
        self.tally.bytes = text.len();
        std::fs::write(self.home.path("whole.jsonl"), text).unwrap();
        if self.models {
            for model in ["1", "2"] {
                let out = format!("model-{model}");
                let fit = ["--rank", "6", "--iterations", "1", "--seed", model];
                self.home.ok(&[&["train", "whole.jsonl", "--out", &out], &fit[..]].concat())?;
            }
        }
        let with = self.with_model("1");
        self.home.ok(&[&["--data", "plain", "replay", "whole.jsonl"], &with[..]].concat()).map(drop)
    }

    fn with_model(&self, model: &str) -> Vec<&'static str> {
        match (self.models, model) {
            (false, _) => Vec::new(),
            (true, "1") => vec!["--model", "model-1"],
            (true, _) => vec!["--model", "model-2"],
        }
    }

    /// One process, from its start to its violent end.
    fn live(&mut self, life: u64) -> Result<(), String> {
        let mut chance = Chance::new(self.shape.seed, 100 + life);
        if !self.far.lines.is_empty() && chance.per_cent(4) {
            return self.forget_alone(&mut chance);
        }
        let piped = self.sent < self.pipe.len() && chance.per_cent(35);
        let bulk = chance.per_cent(35);
        let follow = !bulk && chance.per_cent(60);
        let mut args: Vec<String> = vec![if bulk { "replay" } else { "run" }.into()];
        args.extend(["--workers".into(), chance.pick(&self.shape.workers).to_string()]);
        if !bulk {
            let records =
                if self.tally.records > 50_000 { &[5_000, 65_536][..] } else { &[1, 7, 100, 1_000, 65_536] };
            args.extend(["--epoch-records".into(), chance.pick(records).to_string()]);
            args.extend(["--epoch-ms".into(), chance.pick(&[1, 10]).to_string()]);
        }
        let model = if chance.per_cent(20) { "2" } else { "1" };
        args.extend(self.with_model(model).into_iter().map(str::to_owned));
        let moment = self.moment(&mut chance, follow || piped);
        let feed = if piped { self.pipe.len() - self.sent } else { self.left_in_logs() };
        let feed = chance.of_any_size(20, (feed.max(20) * 2 / self.shape.kills).max(40));
        if piped {
            args.push("-".into());
        } else {
            self.grow(feed / 2 + 1, &mut chance);
            if follow && self.topic.is_none() {
                args.push("--follow".into());
            }
            args.extend(self.named());
        }
        let blocks = if let Moment::AtABlock(blocks) = moment { Some(blocks) } else { None };
        let before = self.far.clone();
        self.by_socket = 0;
        let mut child = self.home.start(&args, blocks, piped);
        self.tally.starts += 1;
        // A topic has no end.
        let lasting = follow || piped || (self.topic.is_some() && !bulk);
        let ended = std::thread::scope(|scope| {
            let stdin = child.stdin.take();
            let from = self.sent;
            let lines: String = if piped {
                self.lines(&self.pipe[from..self.pipe.len().min(from + feed)])
            } else {
                String::new()
            };
            let pieces = chance.within(1, 6);
            let pauses: Vec<usize> = (0..pieces).map(|_| chance.below(20)).collect();
            let writer = scope.spawn(move || {
                // Held open, so that the process goes on, until it is killed.
                let mut stdin = stdin?;
                let size = lines.len() / pieces + 1;
                for (piece, pause) in lines.as_bytes().chunks(size).zip(pauses) {
                    stdin.write_all(piece).ok()?;
                    std::thread::sleep(Duration::from_millis(pause as u64));
                }
                Some(stdin)
            });
            if !piped {
                for _ in 0..3 {
                    std::thread::sleep(Duration::from_millis(chance.below(15) as u64));
                    self.grow(feed / 6 + 1, &mut chance);
                }
            }
            let ended = self.await_end(&mut child, &moment, lasting, &mut chance);
            drop(writer.join());
            ended
        })?;
        self.ended(ended)?;
        // Whoever waits is told, or opens the folder itself; it is killed there.
        if let Some(mut using) = self.using.take() {
            end(&mut using, Duration::from_millis(chance.below(40) as u64));
        }
        let lost = || format!("what was known before is gone: {before:?}, then {:?}", self.far);
        let far = self.home.far()?;
        if !far.holds(&self.far) {
            return Err(lost());
        }
        if piped {
            self.count_piped(&before, &far, feed, &mut chance);
        }
        self.far = far;
        Ok(())
    }

    fn moment(&self, chance: &mut Chance, lasting: bool) -> Moment {
        let (longest, largest) = if self.tally.records > 50_000 { (4_000, 40_000) } else { (500, 4_000) };
        let short = |chance: &mut Chance| Duration::from_micros(chance.below(20_000) as u64);
        match chance.below(if lasting { 10 } else { 6 }) {
            0..4 => Moment::After(Duration::from_micros(chance.of_any_size(4_000, longest * 1_000) as u64)),
            4..6 => Moment::AtABlock(chance.of_any_size(1, largest)),
            6..8 => Moment::AfterAnswers(chance.below(6), short(chance)),
            _ => Moment::AfterStatus(short(chance)),
        }
    }

    /// Appends deliveries to the logs, the last of them now and then by half.
    fn grow(&mut self, deliveries: usize, chance: &mut Chance) {
        for _ in 0..deliveries.div_ceil(40) {
            let place = chance.below(self.logs.len());
            let log = &mut self.logs[place];
            let next = (log.written + deliveries.min(40)).min(log.deliveries.len());
            if let Some(topic) = &self.topic {
                let new = &log.deliveries[log.written..next];
                new.iter().for_each(|index| topic.send(place, &self.world.records[*index].line));
                topic.flush();
                log.written = next;
                continue;
            }
            let mut text = String::new();
            for index in &log.deliveries[log.written..next] {
                text += &self.world.records[*index].line;
                text.push('\n');
            }
            let mut torn = 0;
            if let Some(index) = log.deliveries.get(next)
                && chance.per_cent(20)
            {
                let line = &self.world.records[*index].line;
                torn = (0..=chance.below(line.len() + 1))
                    .rev()
                    .find(|at| line.is_char_boundary(*at))
                    .unwrap_or(0);
                text += &line[..torn];
            }
            // The half that is there already.
            let text = text.as_bytes().get(log.torn.min(text.len())..).unwrap_or_default();
            if next == log.written && torn <= log.torn {
                continue;
            }
            (log.written, log.torn) = (next, torn);
            let mut file = std::fs::File::options().create(true).append(true).open(&log.path).unwrap();
            file.write_all(text).unwrap();
        }
        if self.topic.is_some() {
            return;
        }
        for log in &self.logs {
            // A file that is named must be there.
            drop(std::fs::File::options().create(true).append(true).open(&log.path).unwrap());
        }
    }

    /// What the logs are called on the command line.
    fn named(&self) -> Vec<String> {
        match &self.topic {
            Some(topic) => vec![topic.address.clone()],
            None => self.logs.iter().map(|log| log.path.display().to_string()).collect(),
        }
    }

    /// How many lines, or messages, of a log are committed.
    fn lines_read(&self, log: usize) -> usize {
        let lines = &self.far.lines;
        let read = match &self.topic {
            Some(topic) => {
                let source = topic.source(log);
                lines.iter().find(|(name, _)| name.ends_with(&source)).map(|(_, read)| read)
            }
            None => lines.get(&self.logs[log].path.display().to_string()),
        };
        read.copied().unwrap_or(0) as usize
    }

    fn left_in_logs(&self) -> usize {
        self.logs.iter().map(|log| log.deliveries.len() - log.written).sum()
    }

    fn lines(&self, of: &[usize]) -> String {
        of.iter().flat_map(|index| [&*self.world.records[*index].line, "\n"]).collect()
    }

    /// Waits for the moment, and kills.
    fn await_end(
        &mut self,
        child: &mut Child,
        moment: &Moment,
        lasting: bool,
        chance: &mut Chance,
    ) -> Result<Ended, String> {
        let rest = match moment {
            Moment::After(time) => return Ok(end(child, *time)),
            Moment::AtABlock(_) if lasting => Duration::from_millis(1_500),
            Moment::AtABlock(_) => Duration::from_secs(60),
            Moment::AfterAnswers(answers, rest) => {
                if self.home.serves(child) {
                    for _ in 0..*answers {
                        self.ask(chance);
                    }
                    // One more may be under way when it is killed.
                    return Ok(self.ask_and_end(child, *rest, chance));
                }
                *rest
            }
            Moment::AfterStatus(rest) => {
                let began = std::time::Instant::now();
                while self.home.serves(child) && began.elapsed() < Duration::from_secs(2) {
                    let far = self.home.far()?;
                    if !far.holds(&self.far) {
                        return Err(format!(
                            "the running process lost what was known: {:?}, then {far:?}",
                            self.far
                        ));
                    }
                    let news = far.accepted > self.far.accepted;
                    self.far = far;
                    if news {
                        break;
                    }
                }
                *rest
            }
        };
        Ok(end(child, rest))
    }

    /// Sends one request, or forgets a member, and takes note of the answer.
    fn ask(&mut self, chance: &mut Chance) {
        if chance.per_cent(5) {
            let member = chance.below(self.world.members.len());
            return self.forget(member);
        }
        if self.models && self.using.is_none() && chance.per_cent(25) {
            let wanted = *chance.pick(&[&["use", "model-1"][..], &["use", "model-2"], &["rollback"]]);
            let args: Vec<String> = ["model"].iter().chain(wanted).map(|arg| (*arg).to_owned()).collect();
            self.using = Some(self.home.start(&args, None, false));
            self.tally.swaps += 1;
            return;
        }
        let Some(request) = self.requests.pop() else { return };
        self.by_socket += request.len();
        if self.home.submit(&self.lines(&request)) {
            self.tally.answers += 1;
            self.acknowledged.extend(request);
        } else {
            self.requests.push(request);
        }
    }

    fn ask_and_end(&mut self, child: &mut Child, rest: Duration, chance: &mut Chance) -> Ended {
        let Some(request) = self.requests.pop() else { return end(child, rest) };
        self.by_socket += request.len();
        let again = request.clone();
        let rest = if chance.per_cent(50) { rest / 20 } else { rest };
        let (home, lines) = (&self.home, self.lines(&request));
        let (answered, ended) = std::thread::scope(|scope| {
            let asked = scope.spawn(move || home.submit(&lines));
            let ended = end(child, rest);
            (asked.join().unwrap(), ended)
        });
        if answered {
            self.tally.answers += 1;
            self.acknowledged.extend(request);
        } else {
            self.requests.push(again);
        }
        ended
    }

    fn forget(&mut self, member: usize) {
        self.asked.insert(member);
        self.by_socket += 1;
        if self.home.ok(&["forget", &self.world.members[member]]).is_ok() {
            self.tally.answers += 1;
            // Up to now, which is later than any event.
            self.forgotten.insert(member, i64::MAX);
        }
    }

    /// A forget that opens the folder itself, and is killed.
    fn forget_alone(&mut self, chance: &mut Chance) -> Result<(), String> {
        let member = chance.below(self.world.members.len());
        self.asked.insert(member);
        let args = ["forget".to_owned(), self.world.members[member].clone()];
        let mut child = self.home.start(&args, None, false);
        self.tally.starts += 1;
        let ended = end(&mut child, Duration::from_micros(chance.of_any_size(4_000, 300_000) as u64));
        if ended == Ended::Itself {
            self.forgotten.insert(member, i64::MAX);
        }
        self.ended(ended)?;
        self.far = self.home.far()?;
        Ok(())
    }

    fn ended(&mut self, ended: Ended) -> Result<(), String> {
        match ended {
            Ended::Killed => self.tally.kills += 1,
            Ended::CutAtAByte => self.tally.cuts += 1,
            Ended::Itself => {}
            Ended::Badly(code) => {
                let said = std::fs::read_to_string(self.home.path("says.log")).unwrap_or_default();
                let last = said.rsplit("---- ").next().unwrap_or_default();
                return Err(format!("it ended by itself with {code}: {last}"));
            }
        }
        Ok(())
    }

    /// What came through the pipe is committed in its order: so many of its records are acknowledged.
    fn count_piped(&mut self, before: &Far, far: &Far, feed: usize, chance: &mut Chance) {
        let taken = (far.accepted - before.accepted) as usize;
        let mut left = taken.saturating_sub(self.by_socket);
        let end = self.pipe.len().min(self.sent + feed);
        let mut sent = self.sent;
        while sent < end && left > 0 {
            let index = self.pipe[sent];
            if !matches!(self.world.records[index].what, What::Broken) {
                left -= 1;
                self.acknowledged.insert(index);
            }
            sent += 1;
        }
        // Whoever sends does not know to the record what was taken, and sends some again.
        self.sent = sent.saturating_sub(chance.below(30));
    }

    /// Everything acknowledged is there, and nothing that was taken out.
    fn check(&mut self, life: u64) -> Result<(), String> {
        let mut chance = Chance::new(self.shape.seed, 1_000_000 + life);
        if self.far.epoch == 0 || (self.tally.records > 50_000 && !chance.per_cent(25)) {
            return Ok(());
        }
        for (place, log) in self.logs.iter().enumerate() {
            let lines = self.lines_read(place);
            if lines > log.written {
                return Err(format!("{lines} lines of {} are said to be read", log.path.display()));
            }
            self.acknowledged.extend(&log.deliveries[..lines]);
        }
        let acknowledged: Vec<usize> = self.acknowledged.iter().copied().collect();
        let all: Vec<usize> = (0..self.world.records.len()).collect();
        let perhaps: BTreeMap<usize, i64> = self.asked.iter().map(|member| (*member, i64::MAX)).collect();
        let ever = self.world.gone(&all, &perhaps);
        let gone = self.world.gone(&acknowledged, &self.forgotten);
        let exported = self.exported("nearline-data")?;
        for index in &acknowledged {
            let record = &self.world.records[*index];
            if ever.leaves(record) && !exported.contains(&record.line) {
                return Err(format!("acknowledged and not there: {}", record.line));
            }
        }
        for record in self.world.records.iter().filter(|record| matches!(record.what, What::Event { .. })) {
            if !gone.leaves(record) && exported.contains(&record.line) {
                return Err(format!("taken out by what was acknowledged, and there: {}", record.line));
            }
        }
        self.tally.checked += acknowledged.len();
        // Whole epochs and nothing else: the views are what the records say. In a bulk load it says that they are not.
        if chance.per_cent(20) && !self.home.json(&["status"])?["views_pending"].as_bool().unwrap_or(true) {
            self.digest("nearline-data")?;
        }
        Ok(())
    }

    /// The live events of a folder.
    fn exported(&self, data: &str) -> Result<BTreeSet<String>, String> {
        let export = self.home.ok(&["--data", data, "export", "--without-key"])?;
        Ok(export.lines().filter(|line| line.starts_with("{\"member\"")).map(str::to_owned).collect())
    }

    /// The digest of a folder whose views are what its records say.
    fn digest(&self, data: &str) -> Result<String, String> {
        let verdict = self.home.json(&["--data", data, "verify"])?;
        Ok(verdict["stored"].as_str().unwrap_or_default().to_owned())
    }

    /// Lets everything that is left come in, and holds the end against the undisturbed folder.
    fn finish(&mut self) -> Result<(), String> {
        for (place, log) in self.logs.iter_mut().enumerate() {
            let rest = &log.deliveries[log.written..];
            if let Some(topic) = &self.topic {
                rest.iter().for_each(|index| topic.send(place, &self.world.records[*index].line));
                topic.flush();
                log.written = log.deliveries.len();
                continue;
            }
            let text: String =
                rest.iter().flat_map(|index| [&*self.world.records[*index].line, "\n"]).collect();
            let text = &text.as_bytes()[log.torn.min(text.len())..];
            let mut file = std::fs::File::options().create(true).append(true).open(&log.path).unwrap();
            file.write_all(text).unwrap();
            (log.written, log.torn) = (log.deliveries.len(), 0);
        }
        let asked: Vec<usize> = self.requests.drain(..).flatten().collect();
        let rest = self.lines(&self.pipe[self.sent..]) + &self.lines(&asked);
        std::fs::write(self.home.path("rest.jsonl"), rest).unwrap();
        let logs = self.named();
        let logs: Vec<&str> = logs.iter().map(String::as_str).chain(["rest.jsonl"]).collect();
        let with = self.with_model("1");
        self.tally.starts += 1;
        // `run` would wait for more of a topic.
        let how = if self.topic.is_some() { "replay" } else { "run" };
        self.home.ok(&[&[how], &with[..], &logs[..]].concat())?;
        for member in self.asked.clone() {
            let name = self.world.members[member].clone();
            self.home.ok(&["forget", &name])?;
            self.home.ok(&["--data", "plain", "forget", &name])?;
            self.forgotten.insert(member, i64::MAX);
        }
        let all: Vec<usize> = (0..self.world.records.len()).collect();
        let live = self.world.live(&all, &self.forgotten);
        for data in ["nearline-data", "plain"] {
            let exported = self.exported(data)?;
            let differ = exported.len() != live.len() || !live.iter().all(|line| exported.contains(*line));
            if differ {
                return Err(format!(
                    "{data} has {} live events, and {} should be",
                    exported.len(),
                    live.len()
                ));
            }
        }
        let (digest, plain) = (self.digest("nearline-data")?, self.digest("plain")?);
        if digest != plain {
            return Err(format!("the digest is {digest}, and {plain} of the undisturbed folder"));
        }
        let counted = self.home.far()?.live_events;
        if counted != live.len() as u64 {
            return Err(format!("{counted} live events were counted, and there are {}", live.len()));
        }
        Ok(())
    }
}
