//! Column maps as they are written: what is meant, and what is refused.

use super::*;

fn problem(text: &str) -> String {
    ColumnMap::parse(text).unwrap_err().to_string()
}

#[test]
fn a_map_of_events_reads_as_in_the_recipe() {
    let map = ColumnMap::parse(
        "member=CustomerID,item=StockCode,at=InvoiceDate,kind=buy,value=Quantity,id=InvoiceNo,\
         context.country=Country,tz=Europe/London",
    )
    .unwrap();
    let named = |name: &str| Cell::Named(name.to_owned());
    let rows = Rows::Events {
        member: named("CustomerID"),
        item: named("StockCode"),
        kind: Cell::NamedOrConstant("buy".to_owned()),
        at: named("InvoiceDate"),
        value: Some(named("Quantity")),
        id: Some(named("InvoiceNo")),
        context: vec![("country".to_owned(), named("Country"))],
    };
    assert_eq!(map.rows, rows);
    assert_eq!(map.delimiter, ",");
    assert_eq!(map.zone.iana_name(), Some("Europe/London"));
    assert_eq!(map.time, Time::Any);
}

#[test]
fn quotation_marks_hold_commas_and_themselves() {
    let map = ColumnMap::parse(
        "type=item, item=\"the, \"\"item\"\"\", at='2018-09-26', title=$2, genres=g|'|', none='(a, b)'",
    )
    .unwrap();
    let rows = Rows::Items {
        item: Cell::Named("the, \"item\"".to_owned()),
        at: Cell::Constant("2018-09-26".to_owned()),
        title: Some(Cell::At(1)),
        genres: Some(List { cell: Cell::Named("g".to_owned()), separator: Some("|".to_owned()) }),
        countries: None,
    };
    assert_eq!(map.rows, rows);
    assert_eq!(map.none.as_deref(), Some("(a, b)"));
}

#[test]
fn columns_without_a_header_have_numbers_or_given_names() {
    let map = "member=1,item=2,value=3,at=4,kind=rate,header=no,delimiter='::',time=seconds";
    let map = ColumnMap::parse(map).unwrap();
    assert_eq!((map.names, map.time), (Names::Numbers, Time::Seconds));
    let Rows::Events { member, kind, .. } = map.rows else { panic!("these are events") };
    assert_eq!((member, kind), (Cell::At(0), Cell::NamedOrConstant("rate".to_owned())));
    let map = ColumnMap::parse("columns='u, i,t',member=u,item=i,at=t,kind='2',delimiter=\\t").unwrap();
    let columns = ["u", "i", "t"].map(str::to_owned).to_vec();
    assert_eq!(map.names, Names::Given { columns, header: false });
    assert_eq!(map.delimiter, "\t");
}

#[test]
fn a_table_of_the_config_means_the_same_as_the_text() {
    let text = "member=u,item=i,at=t,kind='rate',context.country=c,header=no,columns='u,i,t,c',tz=UTC";
    let table = r#"
        member = "u"
        item = "i"
        at = "t"
        kind = "'rate'"
        context.country = "c"
        header = false
        columns = "u,i,t,c"
        tz = "UTC"
    "#;
    let mut maps = toml::Table::new();
    maps.insert("mine".to_owned(), toml::Value::Table(table.parse().unwrap()));
    assert_eq!(ColumnMap::named("mine", &maps).unwrap(), ColumnMap::parse(text).unwrap());
    let unknown = ColumnMap::named("yours", &maps).unwrap_err().to_string();
    assert!(unknown.contains("(it has: mine)"), "{unknown}");
    let typo: toml::Table = "membre = 'u'".parse().unwrap();
    let refused = ColumnMap::from_toml(toml::Value::Table(typo)).unwrap_err().to_string();
    assert!(refused.contains("membre"), "{refused}");
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_key() {
    let whole = "member=u,item=i,at=t,kind=k";
    for (text, expected) in [
        ("member=u,item=i,at=t", "`kind`: is missing"),
        ("member=u,item,at=t", "`item` is not of the form"),
        (&format!("{whole},colour=c"), "`colour`: is no target"),
        (&format!("{whole},member=v"), "`member`: is given twice"),
        (&format!("{whole},title=v"), "`title`: is no field of an event"),
        (&format!("{whole},value="), "`value`: is empty"),
        (&format!("{whole},value=$0"), "`value`: is $0"),
        (&format!("{whole},value='x"), "is not closed"),
        (&format!("{whole},value='x'y'"), "written twice"),
        (&format!("{whole},time=hours"), "`time`: is \"hours\""),
        (&format!("{whole},time='%Y-%!'"), "`time`: \"%Y-%!\" is no pattern"),
        (&format!("{whole},tz=London"), "`tz`: is \"London\""),
        (&format!("{whole},header=maybe"), "`header`: is \"maybe\""),
        (&format!("{whole},encoding=ebcdic"), "`encoding`: is \"ebcdic\""),
        (&format!("{whole},delimiter=''"), "`delimiter`: is one or more"),
        (&format!("{whole},type=user"), "`type`: is \"user\""),
        ("type=item,item=i", "`at`: is missing"),
        ("type=item,item=i,at=a,kind=k", "`kind`: is no field of an item"),
        ("type=item,item=i,at=a,genres=g|x|y", "`genres`: is g|x|y"),
    ] {
        let problem = problem(text);
        assert!(problem.contains(expected), "{text}: {problem}");
    }
}
