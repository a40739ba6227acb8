"""Every sentence that the station's processes put into the picture: its key in the language files, and its parameters.

The words are in the language files; a test holds their keys and parameters to this table. The English here says what is
meant, for whoever translates. Reasons of events (`AlarmEventView.reason`) that the system writes are at the end: persons
write free text there.
"""

from __future__ import annotations

import msgspec


class Sentence(msgspec.Struct, frozen=True):
    """A key in the language files, and what to put into its {braces}."""

    key: str
    params: dict[str, str | float | int] = {}


SENTENCES: dict[str, str] = {
    # Alarms
    "alarm.corridor_entry": "{object_class} in corridor {corridor} ({corridor_id}); contact {contact}; {contacts} in all",
    "alarm.watchlist_match": "Question {match}: may contact {contact} be a listed subject? Lane {lane}",
    "alarm.watchlist_candidates": "May one of {contacts} contacts, {candidates}, be a listed subject? "
    "The first is {match}, {contact}. Lane {lane}",
    "alarm.watchlist_unreadable": "The watchlist cannot be read: {detail}",
    "alarm.store_trouble": "The station cannot write to {file}: {detail}. Nothing is acknowledged that is not kept",
    "alarm.node_elsewhere": "Node {node} says it is where it should not be: {detail}. What it sees is kept and not believed",
    "alarm.sensor_blind": "Camera {sensor} sees nothing: {detail}",
    "alarm.sensor_covered": "Camera {sensor} is covered: {detail}",
    "alarm.sensor_dark": "Camera {sensor} sees only darkness: {detail}",
    "alarm.sensor_defocused": "Camera {sensor} is out of focus: {detail}",
    "alarm.sensor_frozen": "The picture of camera {sensor} stands still: {detail}",
    "alarm.sensor_moved": "Camera {sensor} was moved, its places are wrong: {detail}",
    "alarm.position_untrusted": "The position of node {node} is not to be trusted: {detail}",
    "alarm.node_over_budget": "Node {node} sends more than its budget; the rest waits there. Check the node and its key",
    "alarm.node_silent": "Nothing heard from node {node} for {seconds} s",
    "alarm.clock_wrong": "The clock of node {node} is wrong by {offset_s} s; its detections are kept and not fused",
    "alarm.date_ahead": "The station's date is {days} days ahead of the last time that it ran: is it right? Nothing old is "
    "erased until somebody says so: ./trailwatch retention --today YEAR-MONTH-DAY",
    "alarm.date_behind": "The station's date is {days} days behind the last time that it ran: set it right. Nothing old is "
    "erased until it is, or somebody says that it is: ./trailwatch retention --today YEAR-MONTH-DAY",
    "alarm.party": "Party of {party} together, {corridor}",
    "alarm.direction": "{object_class} going {direction}, {corridor}",
    "alarm.speed": "{object_class} going fast, {speed_km_h} km/h, {corridor}",
    "alarm.loitering": "{object_class} staying for {minutes} min, {corridor}",
    "alarm.border_approach": "{object_class} nearing the border line, {distance_m} m left, {direction}",
    "alarm.border_crossing": "{object_class} crossed the border line {direction}, {corridor}",
    "alarm.no_coverage": "No sensor has seen corridor {corridor} for {minutes} min",
    "alarm.notifier_failing": "Notifier {notifier} can tell nobody: {detail}",
    "alarm.notifier_silent": "Notifier {notifier} does not run; outside of the screens nobody is told through it",
    "alarm.drone_lost": "Drone {drone} is in the air and is not heard; its own failsafe acts",
    "alarm.drone_no_position": "Drone {drone} is in the air and has no position",
    "alarm.team_overdue": "Team {who} is not there yet and overdue ({alarm})",
    "alarm.nobody_watching": "Nobody has watched a screen with sound for {seconds} s",
    # Why an alarm was raised: what the rule saw
    "alarm.why.rule": "The sector's rule: {rule}",
    "alarm.why.corridor": "Inside corridor {corridor}, a corridor of priority {priority}",
    "alarm.why.hours": "Within the alarm hours {begin} – {end}",
    "alarm.why.class": "Class: {object_class}",
    "alarm.why.party": "{party} go together (the rule: {least} or more)",
    "alarm.why.direction": "Going {direction}: {moved_m} m against the border line in {seconds} s",
    "alarm.why.direction_corridor": "Going {direction}: {moved_m} m along the corridor in {seconds} s",
    "alarm.why.speed": "{speed_km_h} km/h (error {sigma_km_h}) for {seconds} s; the rule: {least_km_h} km/h or more",
    "alarm.why.loitering": "Within {within_m} m for {minutes} min",
    "alarm.why.approach": "{distance_m} m from the border line and going there, about {minutes} min left",
    "alarm.why.crossing": "Changed sides {direction}: now {distance_m} m from the border line (error {sigma_m} m)",
    # Why something about a team, an incident, a note or a hand-over was not done
    "team.refused.who": "Name the team, in up to {most} characters.",
    "team.refused.expected": "Expected in {least} to {most} minutes.",
    "team.refused.unknown": "There is no team {team}.",
    "team.refused.already": "{person} noted it first, at {at_ns}: {state}.",
    "team.refused.not_from_here": "The team is {state} and cannot become {to}.",
    "team.refused.outcome": "An end needs an outcome from the list.",
    "team.refused.simulated": "This alarm is simulated. Nobody real may be sent for it.",
    "incident.refused.title": "The name has 1 to {most} characters.",
    "incident.refused.unknown": "There is no incident {incident}.",
    "incident.refused.closed": "Incident {incident} was closed by {person} at {at_ns}.",
    "incident.refused.elsewhere": "Alarm {alarm} is part of incident {incident} already.",
    "note.refused.length": "A note has 1 to {most} characters.",
    "handover.refused.receiver": "Choose who takes over, somebody else than you.",
    "handover.refused.unknown": "There is no hand-over {handover}.",
    "handover.refused.already": "{person} signed at {at_ns}.",
    "handover.refused.newer": "There is a newer sheet: {handover}.",
    "handover.refused.other": "This sheet is made out to {person}; only {person} can sign it, with a login of their own.",
    # The shift log, and the lines of a hand-over sheet
    "log.team_sent": "Team {who} ({team}) sent to alarm {alarm}. {note}",
    "log.team_told": "Team {team}: {to}. {reason}",
    "log.incident_opened": "Incident {incident} opened: {title} ({alarms})",
    "log.incident_alarm": "Alarm {alarm} added to incident {incident}",
    "log.incident_closed": "Incident {incident} closed: {reason}",
    "log.note": "{text}",
    "log.handover_opened": "Hand-over {handover} made out to {receiver}",
    "log.handover_signed": "Hand-over {handover} signed",
    "sheet.team": "{who}: {state}, alarm {alarm}, expected {expected_ns}",
    "sheet.incident": "{title}: {alarms} alarms, opened by {person}",
    "sheet.state": "{state}, {person}, {at_ns}",
    "sheet.shelved_until": "until {at_ns}",
    "sheet.fault_over": "the fault is over",
    "sheet.node_silent": "Node {node}: silent",
    "sheet.sensor": "Camera {sensor}: {state}. {detail}",
    "sheet.drone": "Drone {drone}: {mode}, {height_m} m up, battery {battery} %",
    # Why a decision on an alarm was not taken
    "alarm.refused.unknown": "There is no open alarm {alarm}",
    "alarm.refused.already": "Already {state}: {person} was first, at {at_ns}",
    "alarm.refused.not_from_here": "It is {state} (by {person}) and cannot become {to}",
    "alarm.refused.reason_needed": "Closing an alarm needs a reason",
    "alarm.refused.shelve_priority_1": "An alarm of priority 1 cannot be shelved",
    "alarm.refused.shelve_minutes": "Shelve for one of {allowed} minutes",
    "alarm.refused.shelve_one_shift": "It has been shelved for a whole shift already",
    # Why a contact is made of several sensors' detections
    "contact.why.apart": "{contact} is somebody else: {sensor} saw both in one picture, {distance_m} m apart",
    "contact.why.crossed": "{sensor} had taken it and {contact} for each other; its tracks were exchanged",
    "contact.why.joined": "{sensor} saw it {distance_m} m from where {others} had it: {sigmas} sigma, inside the 99 % gate",
    "contact.why.merged": "{contact} (seen by {sensors}) was at the same place, {distance_m} m, for {seconds} s",
    "contact.why.merged_by": "{person} joined {contact} to it",
    "contact.why.recounted": "no sensor sees more than {count} here: {contacts} were counted anew",
    "contact.why.no_patrol": "no longer taken for our patrol {patrol}: that is {distance_m} m away",
    "contact.why.own_patrol": "our patrol {patrol} reported itself {distance_m} m from here, {seconds} s apart; alarms "
    "are raised all the same",
    "contact.why.split": "{contact} is somebody else: {person} split it off, as seen by {sensor}",
    # Evidence for and against a match
    "match.evidence.plate_exact": "Plate {listed} read as {read}, {times} times ({equivalents} look-alikes)",
    "match.evidence.plate_similar": "Plate {listed} read as {read}, {times} times, with {equivalents} look-alikes",
    "match.evidence.plate_missing": "Plate {listed} read as {read}, {times} times, with one character lost",
    "match.evidence.plate_extra": "Plate {listed} read as {read}, {times} times, with one character too many",
    "match.evidence.told_no": "Read as {read}, it was answered with no {times} times before",
    "match.evidence.left_vehicle": "Came out of {vehicle}, whose plate {listed} was read as {read}; {people} came out of it",
    "match.evidence.with_vehicle": "Goes along with {vehicle}, whose plate {listed} was read as {read}; {people} go with it",
    "match.evidence.report": "Report {report} by {person}: there ({where}) within its window of {hours} h; {fits} contacts "
    "fit it, seen or to be expected",
    "match.evidence.corridor_agrees": "Its usual corridor {corridor}: {percent} % of its ways, {others} % of the traffic",
    "match.evidence.corridor_differs": "Not its usual corridor {corridor}: {percent} % of its ways, {others} % of all",
    "match.evidence.hour_agrees": "At this hour, {day} {time}, it comes {times} times as often as the traffic",
    "match.evidence.hour_differs": "At this hour, {day} {time}, it comes {times} times as often as the traffic",
    "match.evidence.class_agrees": "Seen as {seen}, listed as {listed}",
    "match.evidence.class_differs": "Seen as {seen}, listed as {listed}",
    "match.evidence.colour_agrees": "Colour seen {seen}, listed {listed}",
    "match.evidence.colour_differs": "Colour seen {seen}, listed {listed}",
    "match.evidence.party_agrees": "A party of {seen}; its usual one is {listed}",
    "match.evidence.party_differs": "A party of {seen}; its usual one is {listed}",
    "match.evidence.cap": "All circumstance together counts {cap_bits} bits at most, it would have been {total_bits}",
    # Why an answer to a match was not taken
    "match.refused.unknown": "There is no question {match}",
    "match.refused.already": "Already {state}: {person} was first, at {at_ns}",
    "match.refused.no_answer": "Answer yes or no",
    "match.refused.merged": "The question {match} is asked as {into} now: its contact turned out to be another candidate's",
    "match.refused.second_person": "{person} has said yes already; this needs a second person",
    # The mind itself
    "ask.refused.not_understood": "The request was not understood",
    "ask.refused.not_stored": "The station could not store it: {error}. Nothing was changed",
}

# What the system writes as the reason of an alarm's event; "joined", "candidate_..." and "match_confirmed" are followed by a
# space and the contact's id. The last four come with the person who answered.
SYSTEM_REASONS: dict[str, str] = {
    "joined": "One more contact",
    "recovered": "The fault is over",
    "again": "The fault is back",
    "unanswered": "Nobody answered in time; the alarm goes to the supervisor",
    "unanswered_still": "Still nobody; the number of the stage follows",
    "also": "One more of the sector's rules holds; its id follows",
    "worse": "A graver rule holds, and the alarm asks again; its id follows",
    "team_sent": "Taken by sending a team; its id follows",
    "shelving_over": "The time of shelving is over",
    "match_rejected": "The last open question was answered with no",
    "match_confirmed": "The question about this contact was answered with yes",
    "candidate_merged": "This candidate turned out to be one contact with another; the older question goes on",
    "candidate_no": "The question about this contact was answered with no, others are open",
    "candidate_yes": "A yes about this contact, and the alarm had been taken already, or a second person must say it too",
}
