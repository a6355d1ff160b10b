// Live figures from the server's own JSON; nothing is loaded from anywhere else.
(function () {
  "use strict";
  var base = document.body.getAttribute("data-base");
  var POINTS = 60;
  var last = null;
  var history = { "in": [], "out": [] };

  function set(id, text) {
    document.getElementById(id).textContent = text;
  }

  function short(n, unit, step) {
    var names = ["", "K", "M", "G", "T", "P"];
    var at = 0;
    while (n >= step && at < names.length - 1) {
      n /= step;
      at += 1;
    }
    var digits = n >= 100 || at === 0 ? 0 : 1;
    return n.toFixed(digits) + " " + names[at] + unit;
  }

  function count(n) {
    return short(n, "", 1000).trim();
  }

  function bytes(n) {
    return short(n, "B", 1024);
  }

  function line(id, values) {
    var top = Math.max.apply(null, values.concat([1]));
    var points = values.map(function (value, at) {
      var x = (at * 300) / (POINTS - 1);
      var y = 58 - (56 * value) / top;
      return x.toFixed(1) + "," + y.toFixed(1);
    });
    document.getElementById(id).setAttribute("points", points.join(" "));
  }

  function push(list, value) {
    list.push(value);
    if (list.length > POINTS) {
      list.shift();
    }
  }

  function rates(varz) {
    var now = Date.parse(varz.now);
    if (last && now > last.at && varz.start === last.start) {
      var seconds = (now - last.at) / 1000;
      var per = function (key) {
        return Math.max(0, varz[key] - last[key]) / seconds;
      };
      set("in_msgs", count(per("in_msgs")) + "/s");
      set("out_msgs", count(per("out_msgs")) + "/s");
      set("in_bytes", bytes(per("in_bytes")) + "/s");
      set("out_bytes", bytes(per("out_bytes")) + "/s");
      push(history["in"], per("in_msgs"));
      push(history["out"], per("out_msgs"));
      line("line_in", history["in"]);
      line("line_out", history["out"]);
    }
    last = {
      at: now,
      start: varz.start,
      in_msgs: varz.in_msgs,
      out_msgs: varz.out_msgs,
      in_bytes: varz.in_bytes,
      out_bytes: varz.out_bytes
    };
  }

  function general(varz) {
    set("name", varz.server_name);
    set("uptime", varz.uptime);
    set("cpu", varz.cpu + " %");
    set("mem", bytes(varz.mem));
    set("connections", count(varz.connections));
    set("total_connections", count(varz.total_connections));
    set("subscriptions", count(varz.subscriptions));
    set("slow_consumers", count(varz.slow_consumers));
    set("stale_connections", count(varz.stale_connections));
    set("links", varz.routes + " / " + varz.leafnodes);
    document.getElementById("slow_consumers").className = varz.slow_consumers > 0 ? "bad" : "";
    rates(varz);
  }

  function storage(jsz) {
    document.getElementById("storage").hidden = Boolean(jsz.disabled);
    set("streams", count(jsz.streams));
    set("consumers", count(jsz.consumers));
    set("messages", count(jsz.messages));
    set("stored", bytes(jsz.bytes));
  }

  function busiest(connz) {
    var rows = (connz.connections || []).map(function (c) {
      var row = document.createElement("tr");
      var who = c.name || c.ip + ":" + c.port;
      [c.cid, who, count(c.in_msgs), count(c.out_msgs), bytes(c.pending_bytes), c.subscriptions]
        .forEach(function (value) {
          var cell = document.createElement("td");
          cell.textContent = value;
          row.appendChild(cell);
        });
      return row;
    });
    var body = document.getElementById("busiest");
    body.textContent = "";
    rows.forEach(function (row) {
      body.appendChild(row);
    });
  }

  function get(path) {
    return fetch("." + base + path, { cache: "no-store" }).then(function (answer) {
      if (!answer.ok) {
        throw new Error(path + ": " + answer.status);
      }
      return answer.json();
    });
  }

  function refresh() {
    Promise.all([get("/varz"), get("/connz?sort=msgs_to&limit=10"), get("/jsz")])
      .then(function (answers) {
        general(answers[0]);
        busiest(answers[1]);
        storage(answers[2]);
        set("state", "live");
        document.getElementById("state").className = "good";
      })
      .catch(function (error) {
        set("state", "no answer: " + error.message);
        document.getElementById("state").className = "bad";
      })
      .then(function () {
        setTimeout(refresh, 2000);
      });
  }

  refresh();
})();
