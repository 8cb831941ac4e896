//! Style sheets at work. Expected results are those of libxslt.

use super::*;

fn sheet(body: &str) -> Result<Stylesheet, XsltError> {
    Stylesheet::parse(&format!(
        "<xsl:stylesheet version='1.0' xmlns:xsl='http://www.w3.org/1999/XSL/Transform' xmlns:g='urn:g'>{body}</xsl:stylesheet>"
    ))
}

#[track_caller]
fn check(body: &str, source: &str, expect: &str) {
    let result = sheet(body).and_then(|sheet| sheet.transform(Source::Xml(source), Method::Xml));
    assert_eq!(result.as_deref(), Ok(expect), "{body}");
}

/// What an expression yields as text.
#[track_caller]
fn yields(expression: &str, source: &str, expect: &str) {
    let select = expression
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;");
    let body = format!("<xsl:template match='/'><r><xsl:value-of select=\"{select}\"/></r></xsl:template>");
    let expect = if expect.is_empty() {
        "<r/>".to_owned()
    } else {
        format!("<r>{expect}</r>")
    };
    check(&body, source, &expect);
}

#[test]
fn expressions_yield_what_the_recommendation_says() {
    let xml =
        "<a xmlns:g='urn:g' id='1'><b>x</b><b k='2'>y<c>z</c></b><g:b>n</g:b><!--co--><?pi va?><d>10</d><d>9</d></a>";
    for (expression, expect) in [
        ("/a/b", "x"),
        ("/a/b[2]", "yz"),
        ("/a/b[last()]/c", "z"),
        ("//c/..//@k", "2"),
        ("//b[@k='2']/c", "z"),
        ("count(/a/*)", "5"),
        ("count(//node())", "15"),
        ("count(//b | //c | //b)", "3"),
        ("/a/g:b", "n"),
        ("count(/a/g:*)", "1"),
        ("/a/comment()", "co"),
        ("/a/processing-instruction('pi')", "va"),
        ("name(/a/*[3])", "g:b"),
        ("local-name(/a/*[3])", "b"),
        ("namespace-uri(/a/*[3])", "urn:g"),
        ("//c/ancestor::*[1]/@k", "2"),
        ("name(//c/ancestor-or-self::*[last()])", "a"),
        ("//c/preceding::b", "x"),
        ("//b[1]/following-sibling::*[1]", "yz"),
        ("//d[1]/preceding-sibling::*[1]", "n"),
        ("count(//c/following::*)", "3"),
        ("sum(//d)", "19"),
        ("1 + 2 * 3 - 4 div 2", "5"),
        ("7 mod 3", "1"),
        ("-(2)", "-2"),
        ("1 div 0", "Infinity"),
        ("number('x')", "NaN"),
        ("0.1 + 0.2 < 0.5 and not(false())", "true"),
        ("//d < 10", "true"),
        ("//d != 10", "true"),
        ("//d = 9", "true"),
        ("/a/b = 'x'", "true"),
        ("boolean(/nothing)", "false"),
        ("string-length('äöü')", "3"),
        ("substring('12345', 2, 3)", "234"),
        ("substring('12345', 1.5, 2.6)", "234"),
        ("substring('12345', 0)", "12345"),
        ("substring-before('1999/04/01', '/')", "1999"),
        ("substring-after('1999/04/01', '/')", "04/01"),
        ("normalize-space('  a  b ')", "a b"),
        ("translate('bar', 'abc', 'AB')", "BAr"),
        ("concat('a', 1, true())", "a1true"),
        ("round(-1.5)", "-1"),
        ("floor(-1.5)", "-2"),
        ("ceiling(1.2)", "2"),
        ("(//b)[2]/@k", "2"),
        ("string(/a/@id + 1)", "2"),
        ("format-number(1234.5, '#,##0.00')", "1,234.50"),
        ("contains('abc', 'b') or nothing", "true"),
        ("starts-with('abc', 'ab')", "true"),
        ("//*[self::c or self::d][last()]", "z"),
        ("/a/b[position() = 2][1]/c", "z"),
        ("\"it's\"", "it's"),
        ("div/mod", ""),
    ] {
        yields(expression, xml, expect);
    }
}

#[test]
fn feature_information_becomes_a_page() {
    let body = "
        <xsl:output method='html'/>
        <xsl:param name='lang' select=\"'en'\"/>
        <xsl:variable name='n' select='count(//g:feature)'/>
        <xsl:key name='by' match='g:feature' use='@type'/>
        <xsl:template match='/'>
          <html><body class='fi-{$lang}'>
            <xsl:if test='$n &gt; 0'><h1>Found <xsl:value-of select='$n'/></h1></xsl:if>
            <xsl:for-each select='//g:feature'><xsl:sort select='g:name' order='descending'/>
              <table id='t{position()}'><xsl:apply-templates select='*[not(self::g:box)]' mode='row'/></table>
            </xsl:for-each>
            <xsl:call-template name='foot'><xsl:with-param name='text' select=\"concat('a', 'b')\"/></xsl:call-template>
            <p><xsl:value-of select=\"key('by', 'x')/g:name\"/></p>
          </body></html>
        </xsl:template>
        <xsl:template match='*' mode='row'>
          <tr><th><xsl:value-of select='local-name()'/></th><td>
            <xsl:choose>
              <xsl:when test=\"starts-with(., 'http')\"><a href='{.}'><xsl:value-of select=\"substring-after(., '//')\"/></a></xsl:when>
              <xsl:otherwise><xsl:value-of select='normalize-space(.)'/></xsl:otherwise>
            </xsl:choose>
          </td></tr>
        </xsl:template>
        <xsl:template name='foot'><xsl:param name='text'/><p><xsl:attribute name='title'><xsl:value-of select='$text'/></xsl:attribute><xsl:text>x &amp; y</xsl:text><br/></p></xsl:template>";
    let source = "<c xmlns:g='urn:g'>
        <g:feature><g:box/><g:name>A 1</g:name><g:url>http://a/b</g:url></g:feature>
        <g:feature type='x'><g:name>B  2 &lt;</g:name></g:feature></c>";
    let html = sheet(body)
        .unwrap()
        .transform(Source::Xml(source), Method::Html)
        .unwrap();
    assert_eq!(
        html,
        "<html><body class=\"fi-en\"><h1>Found 2</h1><table id=\"t1\"><tr><th>name</th><td>B 2 &lt;</td></tr></table>\
         <table id=\"t2\"><tr><th>name</th><td>A 1</td></tr><tr><th>url</th><td><a href=\"http://a/b\">a/b</a></td></tr></table>\
         <p title=\"ab\">x &amp; y<br></p><p>B  2 &lt;</p></body></html>"
    );
}

#[test]
fn templates_are_chosen_by_priority_and_position() {
    let source = "<a><b><c/></b><c k=\"1\"/>text</a>";
    check("<xsl:template match='c'>C</xsl:template>", source, "CCtext");
    check(
        "<xsl:template match='c'>1</xsl:template><xsl:template match='c'>2</xsl:template>",
        source,
        "22text",
    );
    check(
        "<xsl:template match='b/c'>1</xsl:template><xsl:template match='c'>2</xsl:template>",
        source,
        "12text",
    );
    check(
        "<xsl:template match='c[@k]'>1</xsl:template><xsl:template match='*|text()'><xsl:apply-templates/></xsl:template>",
        source,
        "1",
    );
    check(
        "<xsl:template match='c' priority='9'>1</xsl:template><xsl:template match='b//c'>2</xsl:template>",
        source,
        "11text",
    );
    check(
        "<xsl:template match='/a/c'>1</xsl:template><xsl:template match='text()'/>",
        source,
        "1",
    );
    check(
        "<xsl:template match='@*|node()'><xsl:copy><xsl:apply-templates select='@*|node()'/></xsl:copy></xsl:template>",
        source,
        source,
    );
    check(
        "<xsl:template match='/'><xsl:copy-of select='a/c'/></xsl:template>",
        source,
        "<c k=\"1\"/>",
    );
}

#[test]
fn instructions_make_nodes() {
    let source = "<a><i>b</i><i>a</i><i>10</i></a>";
    check(
        "<xsl:template match='/'><xsl:element name='g:e'><xsl:attribute name='k{1+1}'>v\"</xsl:attribute></xsl:element><xsl:comment>c--</xsl:comment></xsl:template>",
        source,
        "<g:e xmlns:g=\"urn:g\" k2=\"v&quot;\"/><!--c- - -->",
    );
    check(
        "<xsl:template match='/'><r><xsl:for-each select='//i'><xsl:sort data-type='number'/><xsl:sort/><xsl:number value='position()' format='1. '/><xsl:value-of select='.'/>;</xsl:for-each></r></xsl:template>",
        source,
        "<r>1. a;2. b;3. 10;</r>",
    );
    check(
        "<xsl:variable name='f'><x>1</x><x>2</x></xsl:variable><xsl:template match='/'><r a='{{{$f}}}'><xsl:copy-of select='$f'/></r></xsl:template>",
        source,
        "<r a=\"{12}\"><x>1</x><x>2</x></r>",
    );
    check(
        "<xsl:template match='i'><xsl:number/><xsl:number format='A'/><xsl:number format='i' value='4'/></xsl:template>",
        source,
        "1Aiv2Biv3Civ",
    );
    check(
        "<xsl:strip-space elements='*'/><xsl:template match='/'><xsl:copy-of select='.'/></xsl:template>",
        "<a> <b> x </b> </a>",
        "<a><b> x </b></a>",
    );
}

#[test]
fn mistakes_are_told_before_anything_is_transformed() {
    let check = |body: &str, expect: &str| assert_eq!(sheet(body).unwrap_err().to_string(), expect, "{body}");
    check("<xsl:import href='x'/>", "`xsl:import`: not supported");
    check("<xsl:template/>", "`xsl:template`: neither `match` nor `name`");
    check(
        "<xsl:template match='/'><xsl:value-of/></xsl:template>",
        "`xsl:value-of`: `select` is missing",
    );
    check(
        "<xsl:template match='/'><xsl:valueof/></xsl:template>",
        "`xsl:valueof`: not supported",
    );
    check("<xsl:template match='a['/>", "`a[`: the expression ends too early");
    check("<xsl:template match='n:a'/>", "`n:a`: no namespace for `n`");
    check(
        "<xsl:template match='/'><a b='{'/></xsl:template>",
        "`a`: `{`: braces that do not match",
    );
    check(
        "<xsl:template match='/'><xsl:if test='document(1)'/></xsl:template>",
        "`document(1)`: unknown function `document()`",
    );
    assert!(Stylesheet::parse("<a/>").is_err());
    assert!(Stylesheet::parse("").is_err());
}

#[test]
fn a_result_with_instructions_is_a_style_sheet() {
    let sheet = Stylesheet::parse(
        "<r xmlns:xsl='http://www.w3.org/1999/XSL/Transform' xsl:version='1.0'><xsl:value-of select='/a'/></r>",
    );
    assert_eq!(
        sheet
            .unwrap()
            .transform(Source::Xml("<a>1</a>"), Method::Xml)
            .as_deref(),
        Ok("<r>1</r>")
    );
}

#[test]
fn endless_style_sheets_end() {
    // unoptimised code needs more stack than a test has
    let thread = std::thread::Builder::new().stack_size(64 << 20);
    thread.spawn(endless).unwrap().join().unwrap();
}

fn endless() {
    let deep = sheet("<xsl:template match='/'><xsl:apply-templates select='/'/></xsl:template>").unwrap();
    assert_eq!(
        deep.transform(Source::Xml("<a/>"), Method::Xml),
        Err(XsltError::TooMuch)
    );
    let named = sheet("<xsl:template match='/' name='t'><a><xsl:call-template name='t'/></a></xsl:template>").unwrap();
    assert_eq!(
        named.transform(Source::Xml("<a/>"), Method::Xml),
        Err(XsltError::TooMuch)
    );
    let items = "<a/>".repeat(3000);
    let wide =
        sheet("<xsl:template match='a'><xsl:value-of select='count(//a[count(//a) &gt; 1])'/></xsl:template>").unwrap();
    assert_eq!(
        wide.transform(Source::Xml(&format!("<r>{items}</r>")), Method::Xml),
        Err(XsltError::TooMuch)
    );
}

proptest::proptest! {
    #[test]
    fn no_expression_is_too_broken(text in "([a-c/@*.()|=<>+,\\[\\]'$: 0-9-]|div|mod|and|text\\(\\)|count\\(|::){0,24}") {
        let escaped = text.replace('<', "&lt;").replace('&', "&amp;").replace('"', "");
        let body = format!("<xsl:template match='/'><xsl:value-of select=\"{escaped}\"/></xsl:template>");
        if let Ok(sheet) = sheet(&body) {
            let _ = sheet.transform(Source::Xml("<a><b c='1'>x</b></a>"), Method::Xml);
        }
    }
}
