PRAGMA application_id = 1416192875;
PRAGMA user_version = 4;
BEGIN TRANSACTION;
CREATE TABLE blocks (
        number INTEGER PRIMARY KEY,
        events INTEGER NOT NULL,
        last_seq INTEGER NOT NULL,
        digest TEXT NOT NULL
    );
INSERT INTO "blocks" VALUES(1,18,20,'66acbb4868bf9130eb608f8cb888d8d3558dbf6b3dc7fd75af8580317badad64');
CREATE TABLE events (
        seq INTEGER PRIMARY KEY,
        type_id INTEGER NOT NULL REFERENCES types (id),
        ts INTEGER NOT NULL,
        symbol TEXT,
        stream TEXT,
        stream_version INTEGER,
        correlation_id TEXT,
        payload TEXT NOT NULL
    );
INSERT INTO "events" VALUES(1,1,1,'BTCUSDT',NULL,NULL,NULL,'{"event_id":"1","correlation_id":"","causation_id":"","seq":1,"ts":1,"ts_ingress":1,"source":"test","metadata":{},"symbol":"BTCUSDT","price":"65000.10","quantity":"1","side":"buy","trade_id":1}');
INSERT INTO "events" VALUES(2,1,2,'BTCUSDT',NULL,NULL,NULL,'{"event_id":"2","correlation_id":"","causation_id":"","seq":2,"ts":2,"ts_ingress":2,"source":"test","metadata":{},"symbol":"BTCUSDT","price":"65000.10","quantity":"2","side":"buy","trade_id":2}');
INSERT INTO "events" VALUES(3,1,3,'BTCUSDT',NULL,NULL,NULL,'{"event_id":"3","correlation_id":"","causation_id":"","seq":3,"ts":3,"ts_ingress":3,"source":"test","metadata":{},"symbol":"BTCUSDT","price":"65000.10","quantity":"3","side":"buy","trade_id":3}');
INSERT INTO "events" VALUES(4,2,4,'BTCUSDT','order/main/td1',1,NULL,'{"event_id":"4","correlation_id":"","causation_id":"","seq":4,"ts":4,"ts_ingress":4,"source":"é","metadata":{},"order_id":"td1","symbol":"BTCUSDT","account_id":"main","user_id":"","strategy_id":"","side":null,"quantity":null,"limit":null,"status":"accepted","filled":null,"remaining":null,"average_price":null,"reduce_only":false,"reserved":"0","reserved_currency":"","venue_order_id":""}');
INSERT INTO "events" VALUES(5,1,5,'BTCUSDT',NULL,NULL,NULL,'{"event_id":"5","correlation_id":"","causation_id":"","seq":5,"ts":5,"ts_ingress":5,"source":"test","metadata":{},"symbol":"BTCUSDT","price":"65000.10","quantity":"5","side":"buy","trade_id":5}');
INSERT INTO "events" VALUES(6,1,6,'BTCUSDT',NULL,NULL,NULL,'{"event_id":"6","correlation_id":"","causation_id":"","seq":6,"ts":6,"ts_ingress":6,"source":"test","metadata":{},"symbol":"BTCUSDT","price":"65000.10","quantity":"6","side":"buy","trade_id":6}');
INSERT INTO "events" VALUES(7,1,7,'BTCUSDT',NULL,NULL,NULL,'{"event_id":"7","correlation_id":"","causation_id":"","seq":7,"ts":7,"ts_ingress":7,"source":"test","metadata":{},"symbol":"BTCUSDT","price":"65000.10","quantity":"7","side":"buy","trade_id":7}');
INSERT INTO "events" VALUES(8,2,8,'BTCUSDT','order/main/td2',1,NULL,'{"event_id":"8","correlation_id":"","causation_id":"","seq":8,"ts":8,"ts_ingress":8,"source":"é","metadata":{},"order_id":"td2","symbol":"BTCUSDT","account_id":"main","user_id":"","strategy_id":"","side":null,"quantity":null,"limit":null,"status":"accepted","filled":null,"remaining":null,"average_price":null,"reduce_only":false,"reserved":"0","reserved_currency":"","venue_order_id":""}');
INSERT INTO "events" VALUES(9,1,9,'BTCUSDT',NULL,NULL,NULL,'{"event_id":"9","correlation_id":"","causation_id":"","seq":9,"ts":9,"ts_ingress":9,"source":"test","metadata":{},"symbol":"BTCUSDT","price":"65000.10","quantity":"9","side":"buy","trade_id":9}');
INSERT INTO "events" VALUES(10,1,10,'BTCUSDT',NULL,NULL,NULL,'{"event_id":"10","correlation_id":"","causation_id":"","seq":10,"ts":10,"ts_ingress":10,"source":"test","metadata":{},"symbol":"BTCUSDT","price":"65000.10","quantity":"10","side":"buy","trade_id":10}');
INSERT INTO "events" VALUES(11,1,11,'BTCUSDT',NULL,NULL,NULL,'{"event_id":"11","correlation_id":"","causation_id":"","seq":11,"ts":11,"ts_ingress":11,"source":"test","metadata":{},"symbol":"BTCUSDT","price":"65000.10","quantity":"11","side":"buy","trade_id":11}');
INSERT INTO "events" VALUES(12,2,12,'BTCUSDT','order/main/td0',1,NULL,'{"event_id":"12","correlation_id":"","causation_id":"","seq":12,"ts":12,"ts_ingress":12,"source":"é","metadata":{},"order_id":"td0","symbol":"BTCUSDT","account_id":"main","user_id":"","strategy_id":"","side":null,"quantity":null,"limit":null,"status":"accepted","filled":null,"remaining":null,"average_price":null,"reduce_only":false,"reserved":"0","reserved_currency":"","venue_order_id":""}');
INSERT INTO "events" VALUES(15,1,15,'BTCUSDT',NULL,NULL,NULL,'{"event_id":"15","correlation_id":"","causation_id":"","seq":15,"ts":15,"ts_ingress":15,"source":"test","metadata":{},"symbol":"BTCUSDT","price":"65000.10","quantity":"15","side":"buy","trade_id":15}');
INSERT INTO "events" VALUES(16,2,16,'BTCUSDT','order/main/td1',2,NULL,'{"event_id":"16","correlation_id":"","causation_id":"","seq":16,"ts":16,"ts_ingress":16,"source":"é","metadata":{},"order_id":"td1","symbol":"BTCUSDT","account_id":"main","user_id":"","strategy_id":"","side":null,"quantity":null,"limit":null,"status":"accepted","filled":null,"remaining":null,"average_price":null,"reduce_only":false,"reserved":"0","reserved_currency":"","venue_order_id":""}');
INSERT INTO "events" VALUES(17,1,17,'BTCUSDT',NULL,NULL,NULL,'{"event_id":"17","correlation_id":"","causation_id":"","seq":17,"ts":17,"ts_ingress":17,"source":"test","metadata":{},"symbol":"BTCUSDT","price":"65000.10","quantity":"17","side":"buy","trade_id":17}');
INSERT INTO "events" VALUES(18,1,18,'BTCUSDT',NULL,NULL,NULL,'{"event_id":"18","correlation_id":"","causation_id":"","seq":18,"ts":18,"ts_ingress":18,"source":"test","metadata":{},"symbol":"BTCUSDT","price":"65000.10","quantity":"18","side":"buy","trade_id":18}');
INSERT INTO "events" VALUES(19,1,19,'BTCUSDT',NULL,NULL,NULL,'{"event_id":"19","correlation_id":"","causation_id":"","seq":19,"ts":19,"ts_ingress":19,"source":"test","metadata":{},"symbol":"BTCUSDT","price":"65000.10","quantity":"19","side":"buy","trade_id":19}');
INSERT INTO "events" VALUES(20,2,20,'BTCUSDT','order/main/td2',2,NULL,'{"event_id":"20","correlation_id":"","causation_id":"","seq":20,"ts":20,"ts_ingress":20,"source":"é","metadata":{},"order_id":"td2","symbol":"BTCUSDT","account_id":"main","user_id":"","strategy_id":"","side":null,"quantity":null,"limit":null,"status":"accepted","filled":null,"remaining":null,"average_price":null,"reduce_only":false,"reserved":"0","reserved_currency":"","venue_order_id":""}');
CREATE TABLE snapshots (
        stream TEXT NOT NULL,
        version INTEGER NOT NULL,
        state BLOB NOT NULL,
        checksum INTEGER,
        PRIMARY KEY (stream, version)
    );
INSERT INTO "snapshots" VALUES('order/main/td1',2,X'7374617465',4096888977);
CREATE TABLE types (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        UNIQUE (name, version)
    );
INSERT INTO "types" VALUES(1,'market.trade',1);
INSERT INTO "types" VALUES(2,'order.accepted',2);
CREATE INDEX events_by_time ON events (ts);
CREATE INDEX events_by_type ON events (type_id);
CREATE UNIQUE INDEX events_by_stream ON events (stream, stream_version) WHERE stream IS NOT NULL;
CREATE INDEX events_by_correlation ON events (correlation_id) WHERE correlation_id IS NOT NULL;
CREATE VIEW events_readable AS
        SELECT e.seq, t.name AS event_type, t.version,
            strftime('%Y-%m-%d %H:%M:%S', e.ts / 1000000000, 'unixepoch') || printf('.%09d', e.ts % 1000000000) AS time,
            e.symbol, e.stream, e.stream_version,
            coalesce(e.correlation_id, json_extract(e.payload, '$.correlation_id')) AS correlation_id, e.payload
        FROM events e JOIN types t ON t.id = e.type_id;
COMMIT;
