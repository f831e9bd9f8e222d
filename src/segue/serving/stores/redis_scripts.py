"""What Redis does in one step, in Lua, and the names of its keys."""

from typing import NamedTuple

NUMBERS = "segue:arrivals"
"""Counter of events, by which those with equal times are ordered."""

SECRET = "segue:key"  # noqa: S105
"""Key of the hash of session ids, the same for all processes."""

FOLDER = "segue:journal:folder"
"""Which state folder has the files of the journal."""

DELETIONS = "segue:journal:deletions"
"""Sessions to delete from these files."""


def stream(kind: str) -> str:
    """Return the key of the rows of a kind that are in no file yet."""
    return f"segue:journal:{kind}"


class Keys(NamedTuple):
    """The keys of a session.

    Attributes:
        events: sorted set of its events by time; each begins with the number of its arrival.
        ids: digest by event id.
        order: event ids, the oldest first.
        rows: its rows of the journal that are in no file yet.
        tombstone: says that it was deleted.
    """

    events: str
    ids: str
    order: str
    rows: str
    tombstone: str

    @classmethod
    def of(cls, hashed: bytes) -> "Keys":
        """Return the keys of a session by the hash of its id: no id is in the name of a key."""
        return cls(*(f"segue:session:{hashed.hex()}:{name}" for name in cls._fields))


ARRIVAL_DIGITS = 16

APPEND = f"""
local events, ids, order, rows, tombstone, numbers, stream = unpack(KEYS)
local session, lifetime, memory, most_events, most_ids, journal = unpack(ARGV, 1, 6)
if redis.call('EXISTS', tombstone) == 1 then return false end
local statuses, accepted = {{}}, false
for place = 7, #ARGV, 4 do
  local time, id, digest, content = unpack(ARGV, place, place + 3)
  local known = id ~= '' and redis.call('HGET', ids, id)
  if known then
    statuses[#statuses + 1] = known == digest and 'duplicate' or 'conflict'
  else
    if id ~= '' then
      redis.call('HSET', ids, id, digest)
      redis.call('RPUSH', order, id)
      if redis.call('LLEN', order) > tonumber(most_ids) then
        redis.call('HDEL', ids, redis.call('LPOP', order))
      end
    end
    local arrival = string.format('%0{ARRIVAL_DIGITS}.0f', redis.call('INCR', numbers))
    redis.call('ZADD', events, time, arrival .. content)
    if journal == '1' then
      redis.call('RPUSH', rows, 'events', redis.call('XADD', stream, '*', session, content))
    end
    statuses[#statuses + 1] = 'accepted'
    accepted = true
  end
end
if accepted then
  redis.call('ZREMRANGEBYRANK', events, 0, -tonumber(most_events) - 1)
  redis.call('PEXPIRE', events, lifetime)
  for _, key in ipairs({{ids, order, rows}}) do redis.call('PEXPIRE', key, memory) end
end
return {{statuses, redis.call('ZRANGE', events, 0, -1)}}
"""
"""Keys of the session, counter, stream; id, lifetimes of events and ids in ms, bounds, whether there is a journal; then
time, event id, digest and content of each event. Returns what became of each, and the events; nothing if the session
was deleted."""

DELETE = f"""
local events, ids, order, rows, tombstone = unpack(KEYS)
local session, until_ = unpack(ARGV)
local found = redis.call('LRANGE', rows, 0, -1)
for place = 1, #found, 2 do redis.call('XDEL', 'segue:journal:' .. found[place], found[place + 1]) end
redis.call('DEL', events, ids, order, rows)
redis.call('SET', tombstone, '1', 'PX', until_)
if redis.call('EXISTS', '{FOLDER}') == 1 then redis.call('RPUSH', '{DELETIONS}', session) end
"""
"""Keys of the session; id, lifetime of the tombstone in ms."""

EXPOSE = """
for place = 1, #ARGV, 3 do
  local session, content, memory = unpack(ARGV, place, place + 2)
  local at = 2 + 2 * (place - 1) / 3
  local rows, tombstone = KEYS[at], KEYS[at + 1]
  if redis.call('EXISTS', tombstone) == 0 then
    local number = redis.call('XADD', KEYS[1], '*', session, content)
    if session ~= '' then
      redis.call('RPUSH', rows, 'exposures', number)
      redis.call('PEXPIRE', rows, memory)
    end
  end
end
"""
"""Stream, then rows and tombstone of the session of each exposure; its id, or nothing, content, lifetime of rows."""
