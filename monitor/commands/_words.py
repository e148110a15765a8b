"""What the kinds of faults are called in the trade."""

from __future__ import annotations

from monitor.domain.fault import FaultKind

#: By kind, or by its plain name.
CHINESE: dict[str, str] = {
    FaultKind.ENTRAPMENT: "困人",
    FaultKind.LOST_CONTACT_OCCUPIED: "载人失联",
    FaultKind.PASSENGER_SENSOR_STUCK: "人感传感器异常",
    FaultKind.STOPPED_OUTSIDE_DOOR_ZONE: "非平层停梯",
    FaultKind.UNINTENDED_CAR_MOVEMENT: "轿厢意外移动",
    FaultKind.DOOR_OPEN_WHILE_MOVING: "运行中开门",
    FaultKind.OVERSPEED: "超速",
    FaultKind.TOP_OVERRUN: "冲顶",
    FaultKind.PIT_OVERRUN: "蹲底",
    FaultKind.DOOR_CLOSE_FAULT: "关门故障",
    FaultKind.DOOR_OPEN_FAULT: "开门故障",
    FaultKind.DOOR_REOPENING: "反复开关门",
    FaultKind.MOTOR_RUN_LIMITER: "运行时间限制器动作",
    FaultKind.FLOOR_POSITION_LOST: "楼层位置丢失",
    FaultKind.OFFLINE: "终端离线",
    FaultKind.REPORTED_FAULT: "厂家上报故障",
    FaultKind.SAFETY_CIRCUIT_OPEN: "安全回路断开",
    FaultKind.RESTART_PREVENTED: "防止再启动",
    FaultKind.AUTO_RESTORED: "自动恢复",
    FaultKind.MAIN_POWER_OFF: "主电源断电",
    FaultKind.OUT_OF_SERVICE: "停止服务",
    FaultKind.INSPECTION: "检修运行",
    FaultKind.FIRE_RETURN: "消防返回",
    FaultKind.FIREFIGHTER: "消防员运行",
    FaultKind.EMERGENCY_POWER: "应急电源运行",
    FaultKind.EARTHQUAKE: "地震模式",
    FaultKind.CAR_ALARM_BUTTON: "轿厢报警按钮",
}
