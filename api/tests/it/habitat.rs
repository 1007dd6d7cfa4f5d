//! A tenant that has everything there is, of two partners, with a word of its own in every text that is free and
//! figures that nobody else has.

use poem::http::Method;
use serde_json::{Value, json};

use crate::support::{PASSWORD, TestServer};

/// The words of a tenant and of its two partners. None is in another.
pub struct Words {
    pub tenant: &'static str,
    pub partners: [&'static str; 2],
    /// Stakes of the partners, in major units.
    pub stakes: [u32; 2],
}

pub struct Habitat {
    pub ada: String,
    pub partners: [Stock; 2],
}

/// What a partner has.
pub struct Stock {
    pub source: String,
    /// An API key of the source.
    pub key: String,
    /// The partner's user.
    pub user: String,
}

/// One partner's part of a tenant that is being furnished.
struct Furnishing<'s> {
    server: &'s TestServer,
    ada: &'s str,
    /// The tenant's word.
    shared: &'static str,
    asset: String,
    word: &'static str,
    stake: u32,
    /// The other partner's source, where that is there already.
    other: Option<&'static str>,
}

fn id(value: &Value) -> String {
    value["id"].as_str().expect("an id").to_owned()
}

/// An active member's access token.
pub async fn member(server: &TestServer, ada: &str, slug: &str, name: &str, role: &str, partner: Value) -> String {
    let email = format!("{name}@{slug}.test");
    let invite = json!({ "email": email, "name": name, "role": role, "partnerId": partner });
    let invited = server.mutate(ada, "inviteMember", invite, "oneTimeToken { token }").await;
    let once = invited["oneTimeToken"]["token"].as_str().expect("a token");
    server.domain.accept_token(once, PASSWORD).await.expect("a password");
    server.token(slug, &email).await
}

/// Makes a tenant with all that one can have. Its partners are furnished one after the other, the second one last.
pub async fn furnish(server: &TestServer, words: &Words) -> Habitat {
    let word = words.tenant;
    server.tenant(word).await;
    let ada = server.token(word, &format!("ada@{word}.test")).await;
    let of = |mutation: &'static str, input: Value| server.mutate(&ada, mutation, input, "__typename");
    let asset = word.to_uppercase();
    of("createAsset", json!({ "code": asset, "exponent": 2 })).await;
    // In which the terms of the other tests are.
    of("createAsset", json!({ "code": "BIT", "exponent": 2 })).await;
    // For a further currency of a version.
    of("createAsset", json!({ "code": format!("{asset}2"), "exponent": 2 })).await;
    let holidays = json!([{ "date": "2021-12-27", "name": word }]);
    of("setBusinessCalendar", json!({ "code": asset, "name": word, "holidays": holidays })).await;
    let product = json!({
        "code": word, "name": word, "category": word, "studio": word, "theoreticalRtp": "0.965", "volatility": "1.5",
    });
    let made = server.mutate(&ada, "createProduct", product.clone(), "product { id }").await;
    let mut later = product;
    later["productId"] = made["product"]["id"].clone();
    later["validFrom"] = json!("2021-12-01T00:00:00Z");
    later.as_object_mut().expect("an object").remove("code");
    of("changeProduct", later).await;
    let later = json!({ "player": word, "segment": word, "tags": [word], "validFrom": "2021-12-01T00:00:00Z" });
    of("setPlayer", later).await;
    let mut partners = Vec::new();
    for (index, (partner, stake)) in words.partners.iter().zip(words.stakes).enumerate() {
        let other = (index == 1).then_some(words.partners[0]);
        let asset = asset.clone();
        let furnishing = Furnishing { server, ada: &ada, shared: word, asset, word: partner, stake, other };
        partners.push(furnishing.stock().await);
    }
    let partners = partners.try_into().ok().expect("two partners");
    Habitat { ada, partners }
}

impl Furnishing<'_> {
    async fn change(&self, mutation: &str, input: Value, fields: &str) -> Value {
        self.server.mutate(self.ada, mutation, input, fields).await
    }

    async fn stock(&self) -> Stock {
        let word = self.word;
        let made = self.change("createPartner", json!({ "name": word, "reference": word }), "partner { id }").await;
        let partner = id(&made["partner"]);
        let calendar = json!({ "timeZone": "UTC", "from": "2021-11-18", "until": "2021-11-24", "weekdays": null });
        let source = json!({ "partnerId": partner, "name": word, "mapping": self.mapping(), "calendar": calendar });
        let source = id(&self.change("createSource", source, "source { id }").await["source"]);
        let new_key = json!({ "sourceId": source, "name": word });
        let key = self.change("createApiKey", new_key.clone(), "secret").await["secret"].clone();
        let revoked = self.change("createApiKey", new_key, "apiKey { id }").await["apiKey"]["id"].clone();
        self.change("revokeApiKey", json!({ "apiKeyId": revoked }), "apiKey { id }").await;
        let since = "2021-01-01T00:00:00Z";
        let player = json!({ "player": word, "segment": word, "tags": [word, self.shared], "validFrom": since });
        self.change("setPlayer", player, "player { pseudonym }").await;
        self.contracts(&partner).await;
        let stock = Stock {
            user: member(self.server, self.ada, self.shared, word, "READ_ONLY", json!(partner)).await,
            key: key.as_str().expect("a secret").to_owned(),
            source,
        };
        self.records().await;
        for month in ["08", "09", "10"] {
            self.close(&format!("2021-{month}-01T00:00:00Z")).await;
        }
        self.files(&stock).await;
        self.late().await;
        self.oddities().await;
        let sign_off = json!({ "sourceId": stock.source, "from": "2021-11-21", "until": "2021-11-22", "note": word });
        self.change("signOffSourceDays", sign_off, "days { day }").await;
        stock
    }

    /// Every expression that a mapping can have, with the word in it.
    fn mapping(&self) -> Value {
        let (word, shared) = (self.word, self.shared);
        let of = |text: &str| format!("'{text}'");
        let emit = json!({
            "when": format!("Id != '{word}'"), "kind": format!("Id == '{word}' ? 'WIN' : 'STAKE'"),
            "externalId": format!("'{word}-' + Id"), "amount": format!("Id == '{word}' ? number(Bet) : number(Bet)"),
            "currency": of(&self.asset), "occurredAt": format!("Time + ' {word}'"),
            "settledAt": format!("Time + ' {word}'"), "reportedAt": format!("Time + ' {word}'"),
            "product": of(shared), "player": of(word), "round": format!("'{word}-' + Id"),
            "roundClosed": format!("Id != '{word}'"), "channel": of(word), "region": of(word),
            "reverses": format!("Id == '{word}' ? Id : null"), "affects": format!("Id == '{word}' ? Id : null"),
            "note": of(word), "test": format!("Id == '{word}'"),
            "attributes": [{ "name": word, "expression": format!("'{word}-' + {}", self.column()) }],
        });
        json!({
            "format": "csv", "encoding": "utf-8", "timeZone": "UTC", "delimiter": ";", "quote": "'",
            "timeFormat": format!("%Y-%m-%d %H:%M:%S {word}"), "roundExcess": true, "emit": [emit],
        })
    }

    /// A column that only this partner's files have.
    fn column(&self) -> String {
        self.word.replace('-', "_")
    }

    fn terms(&self) -> Value {
        let (word, shared) = (self.word, self.shared);
        let scope = json!({
            "sources": [word], "products": [shared], "categories": [shared], "segments": [word], "tags": [word],
            "regions": [word], "channels": [word],
        });
        let tiers = json!({ "mode": "MARGINAL", "steps": [{ "upTo": "1000", "percent": "7" }, { "percent": "11" }] });
        json!({
            "validFrom": "2021-08-01", "role": "PROVIDER", "scope": scope, "currency": self.asset,
            "cycle": { "every": "MONTH", "timeZone": "UTC", "cutOffHour": 0 }, "base": { "ggr": {} },
            "negative": { "mode": "CARRY" }, "minimumPayout": (self.stake / 10).to_string(),
            "lateWindow": { "days": 3 },
            "payment": { "days": 10, "roll": "FOLLOWING", "calendars": [shared.to_uppercase()] },
            "promotions": [
                { "code": word, "from": "2022-05-01T00:00", "until": "2022-06-01T00:00", "products": [shared] },
            ],
            "rateTable": { "columns": [
                { "reads": "segment" }, { "reads": "promotion" }, { "reads": format!("attributes.{}", self.column()) },
            ], "rows": [
                { "code": format!("{word}-here"), "when": format!("attributes['{word}'] == '{word}'"), "tiers": tiers },
                { "code": format!("{word}-promoted"), "cells": [format!("{word}, {word}-nobody"), word], "percent": "9" },
                { "code": format!("{word}-rest"), "percent": "8" },
            ] },
        })
    }

    fn ngr(&self) -> Value {
        let code = |what: &str| format!("{}-{what}", self.word);
        json!({ "ngr": { "deductions": [
            { "code": code("tax"), "take": { "percentOf": { "percent": "15", "of": "GGR" } } },
            { "code": code("bonus"), "take": { "costs": { "of": ["BONUS_WINS"] } }, "cap": { "percent": "9", "of": "TURNOVER" } },
            { "code": code("cards"), "take": { "amount": "2" } },
        ] } })
    }

    /// One in force, drafts of the other bases, and one whose condition fails on whatever the other partner sends.
    async fn contracts(&self, partner: &str) {
        let below = json!({ "name": format!("{} below", self.word), "reference": format!("{} below", self.word) });
        let below = id(&self.change("createPartner", below, "partner { id }").await["partner"]);
        let parties = |percents: [&str; 2]| {
            let of = |(partner, percent): (&str, &str)| json!({ "partner": partner, "percent": percent });
            [below.as_str(), partner].into_iter().zip(percents).map(of).collect::<Vec<_>>()
        };
        let new = json!({ "partnerId": partner, "name": self.word, "terms": self.terms() });
        let contract = self.change("createContract", new, "contract { id }").await["contract"]["id"].clone();
        let first = json!({ "contractId": contract, "version": 1 });
        self.change("activateContractVersion", first.clone(), "contract { id }").await;
        for (base, from) in [("turnover", "2022-03-01"), ("sales", "2022-04-01")] {
            let mut terms = self.terms();
            terms["scope"]["channels"] = json!([format!("{} {base}", self.word)]);
            terms["base"] = json!({ base: {} });
            terms["validFrom"] = json!(from);
            let custom = json!({ "from": "2022-04-01", "unit": "DAY", "lengths": [10, 11] });
            if base == "sales" {
                terms["cycle"] = json!({ "every": "CUSTOM", "timeZone": "UTC", "custom": custom });
                terms["validUntil"] = json!("2022-12-31");
            } else {
                terms["cycle"] = json!({ "every": "WEEK", "timeZone": "UTC", "startsOn": "MONDAY" });
                terms["rateTable"] = json!({ "rows": [{ "code": format!("{}-line", self.word), "percent": "1.2" }] });
                terms["split"] = json!({ "differential": { "parties": parties(["0.8", "1.2"]) } });
                terms["alsoIn"] = json!([
                    { "currency": format!("{}2", self.asset), "minimumPayout": "5", "cycle": { "every": "WEEK", "startsOn": "FRIDAY" } },
                    { "currency": "EUR", "cycle": { "every": "CUSTOM", "custom": custom } },
                ]);
            }
            let draft = json!({ "contractId": contract, "terms": terms });
            self.change("draftContractVersion", draft, "contract { id }").await;
        }
        let mut terms = self.terms();
        (terms["base"], terms["validFrom"]) = (self.ngr(), json!("2022-05-01"));
        (terms["cap"], terms["minimumGuarantee"]) = (json!("900"), json!("3"));
        terms["fees"] = json!([{ "code": format!("{}-licence", self.word), "charge": { "amount": "-5" } }]);
        self.change("draftContractVersion", json!({ "contractId": contract, "terms": terms }), "contract { id }").await;
        self.lives(&contract, 5).await;
        self.platform(partner, json!({ "parallel": { "parties": parties(["30", "70"]) } })).await;
        // The other way round it would be in force before the other has sent anything.
        let Some(other) = self.other else { return };
        let mut terms = self.terms();
        terms["role"] = json!("AFFILIATE");
        terms["scope"] = json!({ "sources": [other] });
        terms["rateTable"]["rows"][0]["when"] = json!(format!("number(attributes['{}']) > 1", self.word));
        let new = json!({ "partnerId": partner, "name": format!("{} brings players", self.word), "terms": terms });
        let contract = self.change("createContract", new, "contract { id }").await["contract"]["id"].clone();
        let first = json!({ "contractId": contract, "version": 1 });
        self.change("activateContractVersion", first, "contract { id }").await;
    }

    /// A contract that counts spins and has fees.
    async fn platform(&self, partner: &str, split: Value) {
        let mut terms = self.terms();
        terms["split"] = split;
        (terms["role"], terms["scope"]) = (json!("PLATFORM"), json!({ "sources": [self.word] }));
        terms["base"] = json!({ "units": { "promotional": "50" } });
        let steps = json!([{ "upTo": "2", "perUnit": "0.5" }, { "perUnit": "0.25" }]);
        terms["rateTable"] = json!({ "rows": [
            { "code": format!("{}-spins", self.word), "when": "kind == 'STAKE'", "tiers": { "mode": "VOLUME", "steps": steps } },
            { "code": format!("{}-rest", self.word), "perUnit": "0.1" },
        ] });
        terms["advance"] = json!({ "pool": self.word, "percent": "50" });
        // Nothing that is owed by the day: it would open a settlement for every month up to now.
        terms["fees"] = json!([
            { "code": format!("{}-calls", self.word), "charge": { "perUnit": { "price": "0.01" } } },
        ]);
        let new = json!({ "partnerId": partner, "name": format!("{} runs it", self.word), "terms": terms });
        let contract = self.change("createContract", new, "contract { id }").await["contract"]["id"].clone();
        let first = json!({ "contractId": contract, "version": 1 });
        self.change("activateContractVersion", first, "contract { id }").await;
        let spin = self.transaction("spin", "STAKE", &format!("{}.23", self.stake), "2021-08-16T12:00:00Z");
        let case = json!({ "contractId": contract, "name": format!("{} calls", self.word), "facts": [spin], "acceptVersion": 1 });
        self.change("saveContractTestCase", case, "testCase { name }").await;
        let fund = |kind: &str, amount: String| {
            json!({ "contractId": contract, "kind": kind, "amount": { "amount": amount, "currency": self.asset },
                    "happenedOn": "2021-09-01", "note": self.word })
        };
        self.change("recordFund", fund("ADVANCE", format!("{}.07", self.stake / 100)), "fundEntry { id }").await;
        let mut prepaid = self.terms();
        (prepaid["role"], prepaid["scope"]) = (json!("AGGREGATOR"), json!({ "sources": [self.word] }));
        prepaid["prepaid"] = json!({ "lowBalance": "10" });
        // In October the one player wins more than is staked.
        prepaid["ringFence"] = json!({ "threshold": "10" });
        let new = json!({ "partnerId": partner, "name": format!("{} sells credit", self.word), "terms": prepaid });
        let contract = self.change("createContract", new, "contract { id }").await["contract"]["id"].clone();
        let first = json!({ "contractId": contract, "version": 1 });
        self.change("activateContractVersion", first, "contract { id }").await;
        let fund = |kind: &str, amount: String| {
            json!({ "contractId": contract, "kind": kind, "amount": { "amount": amount, "currency": self.asset },
                    "happenedOn": "2021-09-01", "note": self.word })
        };
        let mut credit = fund("CREDIT", format!("{}.09", self.stake * 9));
        credit["percent"] = json!("12");
        self.change("recordFund", credit, "fundEntry { id }").await;
        let said = fund("SUPPLIER_BALANCE", format!("{}.03", self.stake * 8));
        self.change("recordFund", said, "fundEntry { id }").await;
    }

    /// Whatever a version can go through, test cases, and a template.
    async fn lives(&self, contract: &Value, number: i64) {
        let word = self.word;
        let day = "2021-08-15T12:00:00Z";
        let mut facts = vec![
            self.transaction("stake", "STAKE", &format!("{}.19", self.stake * 2), day),
            self.transaction("undone", "ROLLBACK", "0", day),
            self.transaction("moved", "ADJUSTMENT", &format!("{}.56", self.stake + 11), day),
            self.transaction("again", "STAKE", &format!("{}.19", self.stake), day),
            self.transaction("test", "STAKE", &format!("{}.19", self.stake), day),
        ];
        facts[1]["reverses"] = json!(format!("{word}-again"));
        facts[2]["affects"] = json!("GGR");
        (facts[3]["roundClosed"], facts[4]["test"]) = (json!(true), json!(true));
        let case = json!({
            "contractId": contract, "name": word, "facts": facts, "acceptVersion": number,
            "products": [{ "product": self.shared, "category": self.shared }, { "product": word, "category": word }],
            "players": [{ "player": word, "segment": word, "tags": [word] }],
            "carriedBase": [{ "rateClass": format!("{word}-rest"), "amount": format!("-{}.11", self.stake) }],
            "carriedAmount": "1.17", "advanced": format!("{}.29", self.stake), "credit": format!("{}.31", self.stake),
        });
        let template = json!({ "name": word, "terms": self.terms() });
        self.change("saveContractTemplate", template, "contractTemplate { name }").await;
        let draft = json!({ "contractId": contract, "terms": self.terms(), "replaces": 1 });
        self.change("draftContractVersion", draft, "contract { id }").await;
        self.change("saveContractTestCase", case, "testCase { name }").await;
        let second = json!({ "contractId": contract, "version": number });
        let with = |name: &str, value: Value| {
            let mut input = second.clone();
            (input[name], input["note"]) = (value, json!(word));
            input
        };
        self.change("rejectContractVersion", with("note", Value::Null), "contract { id }").await;
        let tested = self.change("testContractVersion", second.clone(), "results { passed message }").await;
        assert_eq!(tested["results"], json!([{ "passed": true, "message": null }]));
        self.change("approveContractVersion", with("revision", json!(1)), "contract { id }").await;
        self.change("activateContractVersion", second, "contract { id }").await;
    }

    fn transaction(&self, number: &str, kind: &str, amount: &str, at: &str) -> Value {
        let word = self.word;
        json!({
            "externalId": format!("{word}-{number}"), "kind": kind,
            "amount": { "amount": amount, "currency": self.asset }, "occurredAt": at, "settledAt": at,
            "reportedAt": at, "product": self.shared, "player": word, "round": format!("{word}-{number}"),
            "channel": word, "region": word, "note": word, "attributes": [{ "name": word, "value": word }],
        })
    }

    async fn send(&self, transactions: Value) {
        let input = json!({ "source": self.word, "transactions": transactions });
        self.change("recordTransactions", input, "results { outcome }").await;
    }

    /// August comes to less than is paid out, September to enough, October to less than nothing; November goes on.
    async fn records(&self) {
        let stake = format!("{}.37", self.stake);
        let (october, november) = ("2021-10-15T12:00:00Z", "2021-11-20T12:00:00Z");
        let mut undone = self.transaction("undone", "ROLLBACK", &stake, november);
        undone["reverses"] = json!(format!("{}-november", self.word));
        let mut moved = self.transaction("moved", "ADJUSTMENT", &format!("{}.56", self.stake + 11), november);
        moved["affects"] = json!("GGR");
        let baseless = self.transaction("baseless", "ADJUSTMENT", &format!("{}.56", self.stake + 13), november);
        let mut unknown = self.transaction("unknown", "STAKE", &stake, november);
        unknown["product"] = json!(format!("{} unknown", self.word));
        self.send(json!([
            self.transaction("august", "STAKE", &format!("{}.19", self.stake / 2), "2021-08-15T12:00:00Z"),
            self.transaction("september", "STAKE", &format!("{}.23", self.stake * 2), "2021-09-15T12:00:00Z"),
            self.transaction("october", "STAKE", &stake, october),
            self.transaction("win", "WIN", &format!("{}.11", self.stake * 4), october),
            self.transaction("november", "STAKE", &stake, november),
            undone,
            moved,
            baseless,
            unknown,
        ]))
        .await;
        // Another content under a known id.
        let mut other = self.transaction("november", "STAKE", &format!("{}.98", self.stake + 17), november);
        other["region"] = json!(format!("{} elsewhere", self.word));
        self.send(json!([other])).await;
    }

    /// Sets aside what is in quarantine, and closes this partner's settlement of a month.
    async fn close(&self, start: &str) {
        let query = "{ quarantine(filter: { state: OPEN }) { nodes { id source { name } } }
            settlements { nodes { id periodStart partner { name } } } }";
        let open = self.server.query(self.ada, query, json!({})).await;
        let records = open["quarantine"]["nodes"].as_array().expect("a list").iter();
        for record in records.filter(|record| record["source"]["name"] == self.word) {
            let dismiss = json!({ "quarantinedRecordId": record["id"], "note": self.word });
            self.change("dismissQuarantinedRecord", dismiss, "quarantinedRecord { id }").await;
        }
        let settlements = open["settlements"]["nodes"].as_array().expect("a list").iter();
        let own = settlements.filter(|row| row["periodStart"] == start && row["partner"]["name"] == self.word);
        for settlement in own {
            self.change("closeSettlement", json!({ "settlementId": settlement["id"] }), "settlement { id }").await;
        }
    }

    /// A file that is read, one that cannot be, one that is cut off; a record that is no transaction, and a conflict.
    async fn files(&self, stock: &Stock) {
        let (word, column) = (self.word, self.column());
        let path = format!("/v1/sources/{}/files?name={word}.csv", stock.source);
        let rows = format!(
            "Id;Bet;Time;{column}\n1;{}.5;2021-11-19 10:00:00;{word}\n{word} two;{word};2021-11-19 10:00:00;{word}\n",
            self.stake
        );
        let key = format!("{word}-1");
        let keyed = [("upload-key", key.as_str())];
        let run = self.server.upload(Method::POST, &path, &stock.key, &keyed, rows.clone()).await;
        assert_eq!((&run.json["state"], &run.json["quarantined"]), (&json!("COMPLETED"), &json!(1)), "{run:?}");
        let other = rows.replace(".5;", ".75;");
        let again = self.server.upload(Method::POST, &path, &stock.key, &[], other).await;
        assert_eq!(again.json["conflicting"], 1, "{again:?}");
        let lacking = self.server.upload(Method::POST, &path, &stock.key, &[], "Id;Bet;Time\n1;2;3\n").await;
        assert_eq!(lacking.json["state"], "FAILED", "{lacking:?}");
        let begun = [("upload-complete", "?0")];
        self.server.upload(Method::POST, &path, &stock.key, &begun, "").await;
    }

    /// A case that is confirmed, and whatever else is odd of so many stakes.
    async fn oddities(&self) {
        let rate = |rate: &str, most: i32| json!({ "alertRate": rate, "mostAlertsADay": most });
        self.change("setAlertRate", rate("0.2", 1_000_000), "detector { alertRate }").await;
        let query = "{ anomalyCases(first: 100) { nodes { id kind source { name } } } }";
        for piece in 0..10 {
            let odd = (0..20_u32).map(|n| {
                let amount = format!("{}.{:02}", self.stake + 7 * n * n * n + piece, 11 + n);
                let at = format!("2021-11-{:02}T{n:02}:44:19Z", 10 + piece);
                self.transaction(&format!("odd-{piece}-{n}"), "STAKE", &amount, &at)
            });
            self.send(odd.collect()).await;
            let cases = self.server.query(self.ada, query, json!({})).await;
            let cases = cases["anomalyCases"]["nodes"].as_array().expect("a list").clone();
            if let Some(case) =
                cases.iter().find(|case| case["source"]["name"] == self.word && case["kind"] == "TRANSACTIONS")
            {
                let verdict = json!({ "caseId": case["id"], "verdict": "CONFIRMED", "note": self.word });
                self.change("reviewAnomalyCase", verdict, "case { state }").await;
                self.change("setAlertRate", rate("0.000001", 0), "detector { alertRate }").await;
                return;
            }
        }
        panic!("nothing odd of all these");
    }

    /// What comes late for October, which is closed.
    async fn late(&self) {
        self.send(json!([self.transaction(
            "late",
            "STAKE",
            &format!("{}.37", self.stake * 3),
            "2021-10-20T12:00:00Z"
        )]))
        .await;
    }
}
