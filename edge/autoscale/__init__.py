"""How many instances a service should have: watched, decided with a reason, carried out by an actuator."""
