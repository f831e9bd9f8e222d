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


def row_name(kind: str, stream_id: bytes) -> bytes:
    """Return what names a row of the stream of a kind in the list of its session."""
    return kind.encode() + b":" + stream_id


class Keys(NamedTuple):
    """The keys of a session.

    Attributes:
        events: sorted set of its events by time; each begins with the number of its arrival.
        ids: digest by event id.
        order: event ids, the oldest first.
        rows: its rows of the journal that are in no file yet, see ``row_name``.
        touched: when it last took an event, in milliseconds by the clock of the server.
        tombstone: says that it was deleted.
    """

    events: str
    ids: str
    order: str
    rows: str
    touched: str
    tombstone: str

    @classmethod
    def of(cls, hashed: bytes) -> "Keys":
        """Return the keys of a session by the hash of its id: no id is in the name of a key."""
        return cls(*(f"segue:session:{hashed.hex()}:{name}" for name in cls._fields))


ARRIVAL_DIGITS = 16

APPEND = f"""
local events, ids, order, rows, touched, tombstone, numbers, stream = unpack(KEYS)
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
      redis.call('RPUSH', rows, 'events:' .. redis.call('XADD', stream, '*', session, content))
    end
    statuses[#statuses + 1] = 'accepted'
    accepted = true
  end
end
if accepted then
  redis.call('ZREMRANGEBYRANK', events, 0, -tonumber(most_events) - 1)
  redis.call('PEXPIRE', events, lifetime)
  local now = redis.call('TIME')
  redis.call('SET', touched, string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000)), 'PX', lifetime)
  for _, key in ipairs({{ids, order, rows}}) do redis.call('PEXPIRE', key, memory) end
end
return {{statuses, redis.call('ZRANGE', events, 0, -1)}}
"""
"""Keys of the session, counter, stream; id, lifetimes of events and ids in ms, bounds, whether there is a journal; then
time, event id, digest and content of each event. Returns what became of each, and the events; nothing if the session
was deleted."""

DELETE = f"""
local events, ids, order, rows, touched, tombstone = unpack(KEYS)
local session, until_, journal = unpack(ARGV)
for _, name in ipairs(redis.call('LRANGE', rows, 0, -1)) do
  local kind, id = string.match(name, '(.+):(.+)')
  if kind ~= 'exposures' then redis.call('XDEL', 'segue:journal:' .. kind, id) end
end
redis.call('DEL', events, ids, order, rows, touched)
redis.call('SET', tombstone, '1', 'PX', until_)
if journal == '1' or redis.call('EXISTS', '{FOLDER}') == 1 then redis.call('RPUSH', '{DELETIONS}', session) end
"""
"""Keys of the session; id, lifetime of the tombstone in ms, whether there is a journal. Exposures are deleted from the
files: they say what was seen of them."""

FORGET = """
local sessions = 0
for place = 1, #KEYS, 2 do
  local events, touched = KEYS[place], KEYS[place + 1]
  local last = redis.call('GET', touched)
  if last and tonumber(last) < tonumber(ARGV[1]) then
    sessions = sessions + redis.call('DEL', events)
    redis.call('DEL', touched)
  end
end
return sessions
"""
"""Events and time of the last arrival of each session; a time in ms. Deletes the events of sessions that took none
since then, and returns their number. Ids stay for their lifetime: events that are sent again are recognised."""

EXPOSE = """
for place = 1, #ARGV, 4 do
  local kind, session, content, memory = unpack(ARGV, place, place + 3)
  local stream, rows, tombstone = unpack(KEYS, 1 + 3 * (place - 1) / 4, 3 + 3 * (place - 1) / 4)
  if redis.call('EXISTS', tombstone) == 0 then
    local number = redis.call('XADD', stream, '*', session, content)
    if session ~= '' then
      redis.call('RPUSH', rows, kind .. ':' .. number)
      redis.call('PEXPIRE', rows, memory)
    end
  end
end
"""
"""Stream, and rows and tombstone of the session, of each exposure; its kind, session or nothing, content, lifetime of
rows."""
