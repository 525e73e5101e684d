"""What one asks hvguard through `hvguardctl --json`, wherever it runs."""

import datetime
import json
import re
import subprocess

from waiting import Failed, wait_for


class Questions:
    """Questions go to hvguardd itself (--direct) unless the method says otherwise."""

    last_error = ""

    def ctl(self):
        """Words of the command that runs hvguardctl."""
        raise NotImplementedError

    def run_ctl(self, *words, seconds=20):
        return subprocess.run([str(word) for word in [*self.ctl(), *words]], capture_output=True,
                              text=True, timeout=seconds, check=False)

    def try_ctl(self, *words, seconds=20):
        """Parsed answer, or None if hvguardctl failed; its complaint is then in last_error."""
        done = self.run_ctl("--json", *words, seconds=seconds)
        self.last_error = done.stderr.strip()
        return json.loads(done.stdout) if done.returncode == 0 else None

    def ask(self, *words):
        answer = self.try_ctl("--direct", *words)
        if answer is None:
            raise Failed(f"hvguardctl {' '.join(map(str, words))}: {self.last_error}")
        return answer

    def status(self):
        return self.ask("status")["status"]

    def tick_count(self):
        return int(self.status()["agent"].get("tick_count", 0))

    def vms(self):
        return self.ask("vms").get("vms", [])

    def vm_with_devices(self, name_or_id):
        return self.ask("vm", name_or_id)["vm"]

    def tasks(self):
        return self.ask("tasks", "--all").get("blocked_tasks", [])

    def incidents(self, kind, **wanted):
        """Incidents of a kind, resolved ones too, with evidence, whose fields have those values."""
        found = []
        for incident in self.ask("incidents", "--all").get("incidents", []):
            if incident["kind"] == kind:
                whole = self.ask("incidents", "show", incident["incident_id"])["incident"]
                if all(whole.get(field) == value for field, value in wanted.items()):
                    found.append(whole)
        return found

    def wait_for_incident(self, kind, seconds, **wanted):
        return wait_for(f"{kind} {wanted}", lambda: self.incidents(kind, **wanted), seconds)[0]

    def wait_until_resolved(self, incident, seconds):
        return wait_for(
            f"{incident['kind']} {incident['subject_key']} resolves",
            lambda: self.incidents(incident["kind"], incident_id=incident["incident_id"],
                                   state="STATE_RESOLVED"), seconds)[0]

    def wait_for_ticks(self, count, seconds):
        """Waits for that many further ticks: what has happened until now is then in the answers."""
        target = self.tick_count() + count
        wait_for(f"{count} more ticks", lambda: self.tick_count() >= target, seconds, 0.2)


def moment(text):
    """Seconds since 1970 of a protobuf Timestamp in JSON."""
    whole, fraction = re.fullmatch(r"(.{19})(\.\d+)?Z", text).groups()
    parsed = datetime.datetime.fromisoformat(whole).replace(tzinfo=datetime.timezone.utc)
    return parsed.timestamp() + float(fraction or 0)


def duration(text):
    """Seconds of a protobuf Duration in JSON."""
    return float(text.removesuffix("s"))
