"""Talks MQTT as Home Assistant's integration does, as far as a broker can tell.

    python3 home_assistant.py SETTINGS

- one client with a clean session, keep alive 60, QoS 0 for what it subscribes to by itself
- all discovery filters in one SUBSCRIBE, then those of the entities, gathered for a moment
- the birth message when the first wave is over, the will when the connection breaks; it never says DISCONNECT
- subscribes anew after each connection, and to a topic that it is subscribed to already when another entity needs it:
  only so the retained message comes again

Standard output: a line of JSON with all entities whenever one changes. Standard input: {"do": "command", ...} publishes.
"""

import json
import sys
import threading

import paho.mqtt.client as mqtt

COMPONENTS = (
    "alarm_control_panel binary_sensor button camera climate cover device_automation device_tracker event fan humidifier "
    "image lawn_mower light lock notify number scene select sensor siren switch tag text update vacuum valve water_heater"
).split()
PREFIX = "homeassistant"
STATUS = f"{PREFIX}/status"
# Home Assistant waits longer, for larger houses.
COOLDOWN = 0.1

settings = json.loads(sys.argv[1])
is_new = settings["version"] == 5
lock = threading.RLock()


def discovery_filters():
    for form in ("+/config", "+/+/config"):
        for component in (*COMPONENTS, "device"):
            yield f"{PREFIX}/{component}/{form}"


class HomeAssistant:
    def __init__(self):
        options = {} if is_new else {"clean_session": True}
        self.client = mqtt.Client(
            settings["clientId"],
            protocol=settings["version"],
            transport=settings["transport"],
            **options,
        )
        self.client.username_pw_set(settings["user"], settings["password"])
        self.client.ws_set_options("/mqtt")
        if settings.get("cafile"):
            self.client.tls_set(settings["cafile"])
        self.client.will_set(STATUS, "offline", 0, False)
        self.client.on_connect = self.on_connect
        self.client.on_message = self.on_message
        self.client.on_subscribe = self.on_subscribe
        self.client.reconnect_delay_set(1, 1)
        self.entities = {}
        self.pending = {}
        self.timer = None
        self.is_born = False

    def start(self):
        new = {"clean_start": True} if is_new else {}
        self.client.connect("localhost", settings["port"], 60, **new)
        self.client.loop_start()

    def on_connect(self, _client, _data, _flags, code, _properties=None):
        with lock:
            self.tell(event="connect", code=code.value if is_new else code)
            self.is_born = False
            self.pending = {}
            self.subscribe(*discovery_filters())
            self.subscribe(*(topic for entity in self.entities.values() for topic in entity["topics"]))

    def subscribe(self, *topics):
        with lock:
            self.pending.update((topic, 0) for topic in topics)
            self.later()

    def later(self):
        """Gathers what comes until nothing has come for a moment."""
        if self.timer is not None:
            self.timer.cancel()
        self.timer = threading.Timer(COOLDOWN, self.perform)
        self.timer.daemon = True
        self.timer.start()

    def perform(self):
        with lock:
            self.timer = None
            if self.pending:
                filters, self.pending = list(self.pending.items()), {}
                self.client.subscribe(filters)
            elif not self.is_born:
                self.is_born = True
                self.client.publish(STATUS, "online", 0, False)
                self.tell(event="born")

    def on_subscribe(self, _client, _data, _mid, codes, _properties=None):
        with lock:
            refused = [code for code in codes if (code.value if is_new else code) >= 0x80]
            self.tell(event="subscribed", filters=len(codes), refused=len(refused))
            self.later()

    def on_message(self, _client, _data, message):
        with lock:
            topic, payload = message.topic, message.payload.decode()
            if topic.startswith(f"{PREFIX}/") and topic.endswith("/config"):
                self.discovered(topic, payload)
            else:
                for entity in self.entities.values():
                    entity.update((key, payload) for key in entity["topics"].get(topic, ()))
            self.tell(event="entities", entities=self.shown())
            self.later()

    def discovered(self, topic, payload):
        for key in [key for key in self.entities if key[0] == topic]:
            gone = self.entities.pop(key)
            left = {name for entity in self.entities.values() for name in entity["topics"]}
            unused = [name for name in gone["topics"] if name not in left]
            if unused:
                self.client.unsubscribe(unused)
        if not payload:
            return
        config = json.loads(payload)
        parts = config.get("components", {"": {}})
        for part, own in parts.items():
            entity = {"topics": {}, "state": None, "availability": None}
            both = {**config, **own}
            for key, name in (("state", "state_topic"), ("availability", "availability_topic")):
                if name in both:
                    entity["topics"].setdefault(both[name], []).append(key)
            self.entities[topic, part] = entity
            self.subscribe(*entity["topics"])

    def shown(self):
        return {
            "/".join(filter(None, (topic.removeprefix(f"{PREFIX}/").removesuffix("/config"), part))): [
                entity["state"],
                entity["availability"],
            ]
            for (topic, part), entity in self.entities.items()
        }

    @staticmethod
    def tell(**line):
        print(json.dumps(line), flush=True)


home = HomeAssistant()
home.start()
for line in sys.stdin:
    command = json.loads(line)
    home.client.publish(command["topic"], command["payload"], 0, False)
