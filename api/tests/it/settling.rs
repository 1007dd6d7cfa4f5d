//! From a partner to a closed settlement, as a client sees it.

use serde_json::{Value, json};

use crate::support::{Crash, TestServer, code, mapping, terms};

const RESULTS: &str = "results { externalId outcome error { code field message } quarantinedRecord { id } transaction { id kind amount { amount currency } unpriced { reason contract { id } } source { name } } }";

fn transaction(external_id: &str, kind: &str, amount: &str, at: &str) -> Value {
    json!({
        "externalId": external_id, "kind": kind, "amount": { "amount": amount, "currency": "BIT" },
        "occurredAt": at, "product": "crash", "player": "alice", "round": "r1",
        "attributes": [{ "name": "table", "value": "7" }]
    })
}

async fn record(server: &TestServer, token: &str, transactions: Value) -> Value {
    let input = json!({ "source": "crash", "transactions": transactions });
    server.mutate(token, "recordTransactions", input, RESULTS).await["results"].clone()
}

fn outcomes(results: &Value) -> Vec<&str> {
    results.as_array().expect("a list").iter().map(|result| result["outcome"].as_str().expect("a text")).collect()
}

#[tokio::test]
async fn every_row_is_told_its_outcome() {
    let server = TestServer::new().await;
    let Crash { ada, source, key, .. } = server.crash("acme").await;
    let at = "2021-11-20T19:44:19Z";
    let stake = transaction("1", "STAKE", "12.5", at);
    let rows = json!([stake, transaction("2", "WIN", "0.123456", at), stake, transaction("3", "STAKE", "-1", at)]);
    let results = record(&server, &ada, rows).await;
    assert_eq!(outcomes(&results), ["RECORDED", "RECORDED", "REPLAYED", "QUARANTINED"]);
    assert_eq!(results[0]["transaction"]["amount"], json!({ "amount": "12.50", "currency": "BIT" }));
    assert_eq!(results[1]["transaction"]["amount"]["amount"], "0.123456");
    assert_eq!(results[0]["transaction"]["unpriced"], json!([]));
    assert_eq!(results[3]["error"]["code"], "NEGATIVE_AMOUNT");
    assert_eq!(results[3]["error"]["field"], json!(["transactions", "3", "amount", "amount"]));
    let early = transaction("0", "STAKE", "1", "2021-09-30T23:59:59Z");
    let results = record(&server, &ada, json!([transaction("1", "STAKE", "13", at), early])).await;
    assert_eq!(outcomes(&results), ["CONFLICT", "RECORDED"]);
    assert_eq!(results[0]["error"]["code"], "CONFLICT");
    assert_eq!(results[0]["transaction"]["amount"]["amount"], "12.50", "what is recorded stands");
    assert_eq!(results[1]["transaction"]["unpriced"], json!([{ "reason": "NO_CONTRACT", "contract": null }]));

    // The key of the source records too, by the source's id as well, and reads nothing else.
    let input = json!({ "source": source, "transactions": [stake] });
    let fields = "results { outcome transaction { externalId } }";
    let replayed = server.mutate(&key, "recordTransactions", input, fields).await;
    assert_eq!(replayed["results"], json!([{ "outcome": "REPLAYED", "transaction": { "externalId": "1" } }]));
    assert_eq!(code(&server.ask(Some(&key), "{ transactions { nodes { id } } }", json!({})).await), "FORBIDDEN");

    let query = "query($filter: TransactionFilter) { transactions(filter: $filter) { nodes { externalId rawRecord attributes { name value } player } } }";
    let filtered = async |filter: Value| {
        server.query(&ada, query, json!({ "filter": filter })).await["transactions"]["nodes"].clone()
    };
    assert_eq!(filtered(json!({ "unpriced": true })).await.as_array().unwrap().len(), 1);
    let wins = filtered(json!({ "kind": "WIN", "sourceId": source })).await;
    assert_eq!(wins[0]["externalId"], "2");
    assert_eq!(wins[0]["attributes"], json!([{ "name": "table", "value": "7" }]));
    assert!(wins[0]["rawRecord"].as_str().unwrap().contains("0.123456"));
    assert!(!wins[0]["player"].as_str().unwrap().contains("alice"));
    let conflicts =
        "{ conflicts { nodes { externalId transaction { externalId } differences { field recorded received } } } }";
    let conflicts = server.query(&ada, conflicts, json!({})).await["conflicts"]["nodes"].clone();
    assert_eq!(conflicts[0]["transaction"]["externalId"], "1");
    let difference = json!([{ "field": "amount", "recorded": "12.50", "received": "13.00" }]);
    assert_eq!(conflicts[0]["differences"], difference);

    for source in ["other", "src_01990000000070008000000000000001"] {
        let input = json!({ "source": source, "transactions": [] });
        let refused = server.try_mutate(&ada, "recordTransactions", input, RESULTS).await;
        assert_eq!(refused["userErrors"][0]["code"], "NOT_FOUND", "{source}");
    }
}

#[tokio::test]
async fn a_json_number_is_no_decimal() {
    let server = TestServer::new().await;
    let Crash { ada, .. } = server.crash("acme").await;
    let query =
        "mutation($input: RecordTransactionsInput!) { recordTransactions(input: $input) { results { outcome } } }";
    let mut wrong = transaction("1", "STAKE", "1", "2021-11-20T19:44:19Z");
    for amount in [json!(12.5), json!(12), json!("1e3"), json!("NaN"), json!("1,000"), json!(null)] {
        wrong["amount"]["amount"] = amount.clone();
        let input = json!({ "input": { "source": "crash", "transactions": [wrong] } });
        let answer = server.ask(Some(&ada), query, input).await;
        assert_eq!(code(&answer), "BAD_USER_INPUT", "{amount}: {answer}");
    }
    let mut terms = terms();
    terms["rateTable"]["rows"][0]["percent"] = json!(8);
    let query = "mutation($input: CreateContractInput!) { createContract(input: $input) { contract { id } } }";
    let input = json!({ "input": { "partnerId": "par_1", "name": "n", "terms": terms } });
    assert_eq!(code(&server.ask(Some(&ada), query, input).await), "BAD_USER_INPUT");
    let nothing = server.query(&ada, "{ transactions { nodes { id } } }", json!({})).await;
    assert_eq!(nothing["transactions"]["nodes"], json!([]));
}

#[tokio::test]
async fn records_in_quarantine_are_retried_or_dismissed() {
    let server = TestServer::new().await;
    let Crash { ada, .. } = server.crash("acme").await;
    let at = "2021-11-20T19:44:19Z";
    let mut unknown = transaction("1", "STAKE", "1", at);
    unknown["product"] = json!("plinko");
    let results = record(&server, &ada, json!([unknown, transaction("2", "STAKE", "-1", at)])).await;
    assert_eq!(outcomes(&results), ["QUARANTINED"; 2]);
    let (first, second) = (&results[0]["quarantinedRecord"]["id"], &results[1]["quarantinedRecord"]["id"]);
    let fields = "quarantinedRecord { state error { code } } results { outcome transaction { externalId } }";
    let retry = async |input: Value| server.try_mutate(&ada, "retryQuarantinedRecord", input, fields).await;
    let still = retry(json!({ "quarantinedRecordId": first })).await;
    assert_eq!(
        (&still["quarantinedRecord"]["state"], &still["userErrors"][0]["code"]),
        (&json!("OPEN"), &json!("UNKNOWN_PRODUCT"))
    );
    server.mutate(&ada, "createProduct", json!({ "code": "plinko", "name": "Plinko" }), "product { code }").await;
    let mended = retry(json!({ "quarantinedRecordId": first })).await;
    assert_eq!(mended["results"], json!([{ "outcome": "RECORDED", "transaction": { "externalId": "1" } }]));
    assert_eq!(mended["quarantinedRecord"]["state"], "RETRIED");
    assert_eq!(retry(json!({ "quarantinedRecordId": first })).await["userErrors"][0]["code"], "WRONG_STATE");

    let dismiss = json!({ "quarantinedRecordId": second, "note": "a test of theirs" });
    let dismissed = server.mutate(&ada, "dismissQuarantinedRecord", dismiss, "quarantinedRecord { state note }").await;
    assert_eq!(dismissed["quarantinedRecord"], json!({ "state": "DISMISSED", "note": "a test of theirs" }));
    let list = "query($state: QuarantinedRecordState) { quarantine(filter: { state: $state }) { nodes { recordNumber rawRecord source { name } } } }";
    let open = server.query(&ada, list, json!({ "state": "OPEN" })).await;
    assert_eq!(open["quarantine"]["nodes"], json!([]));
    let dismissed = server.query(&ada, list, json!({ "state": "DISMISSED" })).await;
    assert_eq!(dismissed["quarantine"]["nodes"][0]["source"]["name"], "crash");
}

const SETTLEMENTS: &str = "{ settlements(first: 10) { nodes {
    id state currency periodStart periodEnd transactionCount contract { name } partner { name }
    lines { code label rateClass version base { amount } rate amount { amount currency } corrects { id } }
    total { amount currency } carriedBase { amount } blockers { code message remedy }
    entries(first: 10) { nodes { reason legs { amount { amount } account { code } } } }
} } }";

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, told in its order")]
async fn a_settlement_grows_and_closes() {
    let server = TestServer::new().await;
    let Crash { ada, partner, contract, source, .. } = server.crash("acme").await;
    let rows = json!([
        transaction("1", "STAKE", "100.10", "2021-10-31T23:59:59.999999Z"),
        transaction("2", "WIN", "40", "2021-10-31T23:00:00Z"),
        transaction("3", "WIN", "5", "2021-11-01T00:00:00Z"),
    ]);
    record(&server, &ada, rows).await;
    let settlements = server.query(&ada, SETTLEMENTS, json!({})).await["settlements"]["nodes"].clone();
    let all = settlements.as_array().unwrap();
    let october = all.iter().find(|row| row["periodStart"] == "2021-10-01T00:00:00Z").unwrap();
    let november = all.iter().find(|row| row["periodStart"] == "2021-11-01T00:00:00Z").unwrap();
    assert_eq!((&october["state"], &october["periodEnd"]), (&json!("OPEN"), &json!("2021-11-01T00:00:00Z")));
    assert_eq!(october["transactionCount"], 2);
    assert_eq!(october["total"], json!({ "amount": "4.81", "currency": "BIT" }));
    let line = &october["lines"][0];
    assert_eq!(
        (&line["code"], &line["rate"], &line["rateClass"]),
        (&json!("REVENUE_SHARE"), &json!("8"), &json!("all"))
    );
    assert_eq!((&line["base"]["amount"], &line["label"]), (&json!("60.10"), &json!("Revenue share, all")));
    assert_eq!(november["carriedBase"]["amount"], "-5.00");

    let close = async |id: &Value| {
        let fields = "settlement { state total { amount } closedAt }";
        server.try_mutate(&ada, "closeSettlement", json!({ "settlementId": id }), fields).await
    };
    let blocked = close(&november["id"]).await;
    assert_eq!(blocked["settlement"], Value::Null);
    let codes: Vec<&Value> = blocked["userErrors"].as_array().unwrap().iter().map(|error| &error["code"]).collect();
    let blockers = november["blockers"].as_array().unwrap();
    assert!(!codes.is_empty() && codes.iter().all(|code| *code == "BLOCKED"));
    assert_eq!(codes.len(), blockers.len(), "one for each blocker");
    assert!(blockers.iter().any(|blocker| blocker["code"] == "EARLIER_PERIOD_OPEN"));
    let closed = close(&october["id"]).await;
    assert_eq!(closed["userErrors"], json!([]));
    assert_eq!(
        (&closed["settlement"]["state"], &closed["settlement"]["total"]["amount"]),
        (&json!("CLOSED"), &json!("4.81"))
    );
    assert_eq!(close(&october["id"]).await, closed, "again changes nothing");

    let filter =
        json!({ "filter": { "contractId": contract, "partnerId": partner, "state": "CLOSED", "currency": "BIT" } });
    let query = "query($filter: SettlementFilter) { settlements(filter: $filter, first: 10) { nodes { id entries(first: 10) { nodes { reason legs { amount { amount } account { code partner { name } } } } } } } }";
    let closed = server.query(&ada, query, filter).await["settlements"]["nodes"].clone();
    assert_eq!(closed[0]["id"], october["id"]);
    assert!(closed[0]["entries"].to_string().contains("PAYABLE"));
    let books = server
        .query(
            &ada,
            "{ booksCheck { balanced findings settlements } ledgerAccounts { nodes { code balance { amount } } } }",
            json!({}),
        )
        .await;
    assert_eq!(books["booksCheck"], json!({ "balanced": true, "findings": [], "settlements": 2 }));
    assert!(books["ledgerAccounts"].to_string().contains("-4.81"));

    // A late fact becomes a correction in the period that is open.
    record(&server, &ada, json!([transaction("4", "WIN", "10", "2021-10-15T00:00:00Z")])).await;
    let again = server.query(&ada, SETTLEMENTS, json!({})).await["settlements"]["nodes"].clone();
    let november = again.as_array().unwrap().iter().find(|row| row["id"] == november["id"]).unwrap();
    let correction = november["lines"].as_array().unwrap().iter().find(|line| line["code"] == "CORRECTION").unwrap();
    assert_eq!((&correction["amount"]["amount"], &correction["corrects"]["id"]), (&json!("-0.80"), &october["id"]));

    // Days that were promised and did not come block, until they are signed off.
    let calendar = json!({ "timeZone": "UTC", "from": "2021-11-01", "until": "2021-11-02" });
    server
        .mutate(
            &ada,
            "setSourceCalendar",
            json!({ "sourceId": source, "calendar": calendar }),
            "source { calendar { from until weekdays } }",
        )
        .await;
    let refused = close(&november["id"]).await;
    assert!(refused["userErrors"][0]["message"].as_str().unwrap().contains("MISSING_DAYS"), "{refused}");
    let sign_off =
        json!({ "sourceId": source, "from": "2021-11-01", "until": "2021-11-02", "note": "closed for repairs" });
    let signed = server.mutate(&ada, "signOffSourceDays", sign_off, "days { day state signOff { note } }").await;
    assert_eq!(signed["days"][0]["state"], "COMPLETE");
    assert_eq!(signed["days"][1]["signOff"]["note"], "closed for repairs");
    assert_eq!(close(&november["id"]).await["userErrors"], json!([]));
}

/// What is owed beside shares, and what bounds it or is paid beforehand.
fn beside_shares(terms: &mut Value) {
    terms["fees"] = json!([
        { "code": "licence", "charge": { "amount": "-12.5" } },
        { "code": "spins", "charge": { "perUnit": { "price": "0.0125", "promotional": "50" } } },
    ]);
    (terms["cap"], terms["minimumGuarantee"]) = (json!("900"), json!("3"));
    terms["advance"] = json!({ "pool": "artists", "percent": "50" });
    terms["prepaid"] = Value::Null;
    let tiers = &mut terms["rateTable"]["rows"][1]["tiers"];
    (tiers["period"], tiers["reads"]) = (json!("YEAR"), json!("BEFORE_CARRY"));
}

const TERMS: &str = "contract { versions { version state } } contractVersion { version state terms {
        validFrom role scope { sources { id } products categories segments tags regions channels } currency attribution
        cycle { every timeZone cutOffHour startsOn } base { turnover { bonusTreatment } } negative { mode level }
        rateTable { match rows { code when percent tiers { mode period reads steps { upTo percent } } } }
        fees { code charge { amount perUnit { price promotional } } } cap minimumGuarantee advance { pool percent } prepaid { lowBalance }
        rounding minimumPayout tiersOnChange } }";

#[tokio::test]
async fn terms_and_mappings_read_back_as_they_were_written() {
    let server = TestServer::new().await;
    let Crash { ada, partner, source, contract, .. } = server.crash("acme").await;
    let mut wanted = terms();
    wanted["scope"] = json!({ "sources": ["crash", source], "tags": ["vip"] });
    let draft = json!({ "contractId": contract, "terms": wanted });
    let refused = server.try_mutate(&ada, "draftContractVersion", draft, "contractVersion { version }").await;
    assert_eq!(refused["userErrors"][0]["field"], json!(["terms", "scope", "sources", "1"]), "the same source twice");

    wanted["scope"] = json!({ "sources": ["crash"], "products": ["crash"], "categories": [], "segments": [], "tags": ["vip"], "regions": [], "channels": ["WEB"] });
    wanted["cycle"] = json!({ "every": "WEEK", "timeZone": "Asia/Seoul", "cutOffHour": 6, "startsOn": "SUNDAY" });
    wanted["base"] = json!({ "turnover": { "bonusTreatment": "EXCLUDE" } });
    wanted["rateTable"] = json!({ "match": "FIRST", "rows": [
        { "code": "night", "when": "localHour >= 0 and localHour < 6", "percent": "6", "tiers": null },
        { "code": "rest", "when": null, "percent": null, "tiers": { "mode": "MARGINAL", "steps": [ { "upTo": "20000000", "percent": "8.25" }, { "upTo": null, "percent": "7" } ] } }
    ] });
    wanted["tiersOnChange"] = json!("RESTART");
    beside_shares(&mut wanted);
    let draft = json!({ "contractId": contract, "terms": wanted });
    let drafted = server.mutate(&ada, "draftContractVersion", draft, TERMS).await;
    wanted["scope"]["sources"] = json!([{ "id": source }]);
    (wanted["fees"][0]["charge"]["perUnit"], wanted["fees"][1]["charge"]["amount"]) = (Value::Null, Value::Null);
    assert_eq!(drafted["contractVersion"]["terms"], wanted);
    assert_eq!(
        drafted["contract"]["versions"],
        json!([{ "version": 1, "state": "ACTIVE" }, { "version": 2, "state": "DRAFT" }])
    );

    let mut wrong = terms();
    wrong["cycle"]["timeZone"] = json!("Mars/Olympus");
    wrong["rateTable"]["rows"][0]["percent"] = json!("8.123456789");
    wrong["scope"]["sources"] = json!(["nobody"]);
    let input = json!({ "partnerId": partner, "name": "wrong", "terms": wrong });
    let refused = server.try_mutate(&ada, "createContract", input, "contract { id }").await;
    let fields: Vec<String> =
        refused["userErrors"].as_array().unwrap().iter().map(|error| error["field"].to_string()).collect();
    let expected = [
        r#"["terms","scope","sources","0"]"#,
        r#"["terms","cycle","timeZone"]"#,
        r#"["terms","rateTable","rows","0","percent"]"#,
    ];
    assert_eq!(fields, expected);
    let query = "mutation($input: CreateContractInput!) { createContract(input: $input) { contract { id } } }";
    let mut both = terms();
    both["base"] = json!({ "ggr": { "bonusTreatment": "INCLUDE" }, "sales": {} });
    let input = json!({ "input": { "partnerId": partner, "name": "both", "terms": both } });
    assert_eq!(code(&server.ask(Some(&ada), query, input).await), "BAD_USER_INPUT", "one base");

    let mut changed = mapping();
    changed["emit"][0]["attributes"] = json!([{ "name": "table", "expression": "GameID" }]);
    let fields = "source { mappingVersion mapping { format encoding timeZone emit { kind when externalId attributes { name expression } } } }";
    let input = json!({ "sourceId": source, "mapping": changed });
    let updated = server.mutate(&ada, "updateSourceMapping", input, fields).await["source"].clone();
    assert_eq!((&updated["mappingVersion"], &updated["mapping"]["format"]), (&json!(2), &json!("csv")));
    assert_eq!(updated["mapping"]["emit"][0]["attributes"], changed["emit"][0]["attributes"]);
    changed["emit"][1]["amount"] = json!("number(");
    changed["timeZone"] = json!("UTC");
    let input = json!({ "sourceId": source, "mapping": changed });
    let refused = server.try_mutate(&ada, "updateSourceMapping", input, "source { id }").await;
    assert_eq!(refused["userErrors"][0]["field"], json!(["mapping", "emit", "1", "amount"]));

    let fields = "preview { header problem { code } records { number transactions { kind externalId amount attributes { name value } } error { code } } }";
    let text = format!(
        "{}7,3,bob,10,2.0,10,2021-11-20T19:44:19Z\n8,3,bob,x,NA,0,2021-11-20T19:44:19Z\n9,cut",
        crate::support::HEADER
    );
    let preview =
        server.mutate(&ada, "previewMapping", json!({ "sourceId": source, "text": text }), fields).await["preview"]
            .clone();
    assert_eq!(preview["records"][0]["transactions"][1]["amount"], "20");
    assert_eq!(preview["records"][0]["transactions"][0]["attributes"], json!([{ "name": "table", "value": "3" }]));
    assert_eq!(preview["records"][1]["error"]["code"], "EXPRESSION_FAILED");
    assert_eq!(preview["records"].as_array().unwrap().len(), 2);
}
