//! Rows of columns: other people's, by a map, and what cannot be taken of them.

use super::*;

#[test]
fn rows_that_cannot_be_taken_have_their_reasons() {
    let folder = folder();
    let rows = "member,item,kind,value,at,id\n\
                m1,i1,play,1,2026-01-02T03:04:05Z,e1\n\
                ,i1,play,1,7,e1\n\
                m1,i1,play,1\n\
                m1,i1,play,1,7,e1,x\n\
                m1,i1,play,NaN,7,\n\
                m1,i1,play,many,7,\n\
                m1,i1,play,1e10,7,\n\
                m1,i1,play,1,soon,\n\
                m1,i1,play,1,-7,\n\
                m1,i1,play,1,7000000000000,\n\
                m1,,play,1,7,\n\
                m1,i1,play,,7,\n";
    let mut bytes = rows.as_bytes().to_vec();
    bytes.extend(b"m\xff,i1,play,1,7,\n");
    bytes.extend(format!("{},i1,play,1,7,\n", "m".repeat(257)).bytes());
    let read = read(&file(&folder, "a.csv", bytes), &options());
    let reasons: Vec<_> = read.rejected.iter().map(|line| (line.line, line.reason.as_str())).collect();
    let expected = [
        (3, "missing-field"),
        (4, "too-few-columns"),
        (5, "too-many-columns"),
        (6, "not-a-number"),
        (7, "value-unreadable"),
        (8, "value-out-of-range"),
        (9, "at-unreadable"),
        (10, "at-out-of-range"),
        (11, "at-ahead"),
        (12, "missing-field"),
        (14, "not-utf8"),
        (15, "id-too-long"),
    ];
    assert_eq!(reasons, expected);
    assert_eq!(read.rejected[0].detail, "`member` is missing");
    assert_eq!(read.records.len(), 2);
}

#[test]
fn maps_read_other_columns() {
    let folder = folder();
    let check = |name: &str, bytes: &[u8], map: &str, expected: &[&str]| {
        let read = read(&file(&folder, name, bytes), &mapped(map));
        assert_eq!(read.lines(), expected, "{map}: {:?} {:?}", read.rejected, read.errors);
    };
    let m1 = |at: i64| format!(r#"{{"member":"1","item":"7","kind":"rate","value":4.5,"at":{at}}}"#);
    check(
        "ratings.dat",
        b"1::7::4.5::964982703\n",
        "header=no,delimiter='::',member=1,item=2,value=3,at=4,kind=rate,time=seconds",
        &[&m1(964_982_703_000)],
    );
    check(
        "ratings.tsv",
        b"ts\tv\tm\ti\n964982703.25\t4.5\t1\t7\n",
        r"delimiter=\t,member=m,item=i,value=v,at=ts,kind=rate,time=seconds",
        &[&m1(964_982_703_250)],
    );
    check(
        "ratings.data",
        b"1|7|4.5|01/07/2011 10:30\n1|7|4.5|01/01/2011 10:30\n",
        "delimiter='|',columns='u,i,r,t',member=u,item=i,value=r,at=t,kind=rate,time='%d/%m/%Y %H:%M',tz=Europe/London",
        // Summer time, and winter time.
        &[&m1(1_309_512_600_000), &m1(1_293_877_800_000)],
    );
    check(
        "any.csv",
        b"m,i,v,t\n1,7,4.5,2000-01-01\n1,7,4.5,2000-01-01 01:00\n1,7,4.5,2000-01-01T01:00:00Z\n1,7,4.5,946684800000\n",
        "member=m,item=i,value=v,at=t,kind='rate',tz=Asia/Tokyo",
        &[&m1(946_652_400_000), &m1(946_656_000_000), &m1(946_688_400_000), &m1(946_684_800_000)],
    );
    check(
        "kinds.csv",
        b"m,i,kind,where\n1,7,buy,UK\n1,7,view,\n",
        "member=$1,item=\"i\",kind=kind,at='1970-01-01',context.country=where,context.list='all'",
        &[
            r#"{"member":"1","item":"7","kind":"buy","value":1,"at":0,"context":{"country":"UK","list":"all"}}"#,
            r#"{"member":"1","item":"7","kind":"view","value":1,"at":0,"context":{"list":"all"}}"#,
        ],
    );
    check(
        "stock.csv",
        b"m,code,name\n,7,damaged\n1,7,LANTERN\n",
        "type=item,item=code,title=name,at='1970-01-01',where=m",
        &[r#"{"type":"item","item":"7","at":0,"title":"LANTERN"}"#],
    );
    check(
        "movies.csv",
        b"id,title,genres,c\n1,\"American President, The (1995)\",Comedy|Drama,US\n2,Caf\xe9,(none),\n",
        "type=item,item=id,title=title,genres=genres|'|',countries=c,none='(none)',at='2018-09-26',encoding=latin1",
        &[
            r#"{"type":"item","item":"1","at":1537920000000,"countries":["US"],"genres":["Comedy","Drama"],"title":"American President, The (1995)"}"#,
            r#"{"type":"item","item":"2","at":1537920000000,"title":"Café"}"#,
        ],
    );
}

#[test]
fn what_cannot_be_opened_says_so() {
    for (arg, part) in
        [("/no/such/file", "cannot read /no/such/file"), ("amqp://host/topic", "sources are files")]
    {
        let error = open(&[arg.to_owned()], &options(), &|_| None).err().unwrap().to_string();
        assert!(error.contains(part), "{error}");
    }
    let folder = folder();
    let path = file(&folder, "a.csv", "user,item,kind,at\n");
    let read = read(&path, &options());
    assert!(read.errors[0].contains("`user`: is no column of ours"), "{:?}", read.errors);
    let map = "member=usr,item=item,kind=kind,at=at";
    let read = tests::read(&path, &mapped(map));
    assert!(
        read.errors[0].contains("no column is called `usr`; the columns are user, item"),
        "{:?}",
        read.errors
    );
}
